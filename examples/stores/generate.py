"""Writes sales.csv: two years of weekly sales in 120 shops that do not exist.

    python3 generate.py [FILE]

The same file comes out on every machine and every run: the seed is fixed, and of the random module
only random() is used, whose numbers do not change between versions of Python.

How a week's sales come about, all factors multiplied:

    level       one for each store, around 200 pieces
    trend       grows or shrinks by up to a quarter a year
    season      one wave a year, its height and its peak by the store's format; a suburb peaks in
                December, a city in spring, a resort in July
    holidays    the weeks of Easter, of the last Friday in November and of Christmas
    price       a regular price that is raised once or twice; sales answer with an elasticity of
                -0.5 to -2.5
    promotion   none, flyer or display, in about one week of five, with the price cut by a sixth;
                in half of the stores a promotion does little outside of the season
    heat        above 25 degrees, resorts sell more and the others less
    noise       7 to 20 %

And the data is as data is: 3 % of the weeks are missing, every tenth store was closed for eight weeks
in a row, temperatures are missing in 4 % of the rows, store 40 opened only in the second year, and
store 77 in the last quarter.
"""

import csv
import datetime
import math
import os
import random
import sys

SEED = 20240101
N_STORES = 120
N_WEEKS = 104
FIRST_WEEK = datetime.date(2023, 1, 2)
OPENED_IN_WEEK = {40: 58, 77: 92}
HOLIDAYS = {
    datetime.date(2023, 4, 3), datetime.date(2023, 11, 20), datetime.date(2023, 12, 18),
    datetime.date(2024, 3, 25), datetime.date(2024, 11, 25), datetime.date(2024, 12, 16),
}
FORMATS = {
    # The height of the season's wave, and the week in which it peaks.
    "city": (0.15, 18),
    "suburb": (0.30, 50),
    "resort": (0.60, 28),
}
COLUMNS = ["store", "week", "format", "price", "promotion", "holiday", "temperature", "sales"]

chance = random.Random(SEED).random


def between(low, high):
    return low + (high - low) * chance()


def normal():
    return math.sqrt(-2.0 * math.log(1.0 - chance())) * math.cos(2.0 * math.pi * chance())


def wave(week, peak):
    return math.cos(2.0 * math.pi * (week - peak) / 52.0)


def rows_of(store):
    form = ["city", "suburb", "resort"][int(3 * chance())]
    height, peak = FORMATS[form]
    level = math.exp(math.log(200.0) + 0.5 * normal())
    growth = between(-0.25, 0.25)
    elasticity = between(-2.5, -0.5)
    lifts = {"none": 1.0, "flyer": between(1.05, 1.3), "display": between(1.2, 1.7)}
    seasonal_promotions = chance() < 0.5
    warmth = between(8.0, 16.0)
    noise = between(0.07, 0.20)
    regular = price = round(between(2.5, 6.0), 2)
    raises = {int(between(15, 100)) for _ in range(2)}
    closed_from = int(between(20, 80)) if store % 10 == 3 else None
    for week in range(N_WEEKS):
        if week in raises:
            price = round(price * between(1.02, 1.10), 2)
        promotion = "none"
        if chance() < 0.2:
            promotion = "flyer" if chance() < 0.6 else "display"
        asked = round(price * 5.0 / 6.0, 2) if promotion != "none" else price
        temperature = warmth + 11.0 * wave(week, 28) + 3.0 * normal()
        monday = FIRST_WEEK + datetime.timedelta(weeks=week)
        holiday = monday in HOLIDAYS
        in_season = wave(week, peak) > 0.0
        sales = level * (1.0 + growth * week / 52.0) * (1.0 + height * wave(week, peak))
        sales *= (asked / regular) ** elasticity
        lift = lifts[promotion]
        sales *= 1.0 + (lift - 1.0) * (0.2 if seasonal_promotions and not in_season else 1.0)
        sales *= 1.35 if holiday else 1.0
        if temperature > 25.0:
            sales *= 1.2 if form == "resort" else 0.9
        sales *= math.exp(noise * normal())
        measured = "" if chance() < 0.04 else "%.1f" % temperature
        lost = chance() < 0.03
        closed = closed_from is not None and closed_from <= week < closed_from + 8
        if lost or closed or week < OPENED_IN_WEEK.get(store, 0):
            continue
        yield [store, monday.isoformat(), form, "%.2f" % asked, promotion, int(holiday), measured,
               round(sales)]


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    path = sys.argv[1] if len(sys.argv) > 1 else os.path.join(here, "sales.csv")
    with open(path, "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for store in range(1, N_STORES + 1):
            writer.writerows(rows_of(store))


if __name__ == "__main__":
    main()
