"""Writes machines.csv: 600 machines that do not exist, and whether each broke down within a month.

    python3 generate.py [FILE]

The same file comes out everywhere: the seed is fixed, and of the random module only random() is used.
A machine breaks down when it runs hot under load, when it vibrates although it is young, or when it is
old and was serviced long ago; one in twelve breaks down for no reason.
"""

import csv
import math
import os
import random
import sys

SEED = 20240601
COLUMNS = ["maker", "age", "load", "temperature", "vibration", "days_since_service", "broke_down"]

chance = random.Random(SEED).random


def normal():
    return math.sqrt(-2.0 * math.log(1.0 - chance())) * math.cos(2.0 * math.pi * chance())


def machine():
    maker = ["Aral", "Borg", "Celt"][int(3 * chance())]
    age = 15.0 * chance()
    load = chance()
    temperature = 40.0 + 35.0 * load + (8.0 if maker == "Borg" else 0.0) + 6.0 * normal()
    vibration = math.exp(0.5 * normal())
    service = int(400 * chance())
    broke = (
        (temperature > 72.0 and load > 0.5)
        or (vibration > 1.8 and age < 5.0)
        or (age > 9.0 and service > 220)
        or chance() < 1.0 / 12.0
    )
    measured = "" if chance() < 0.05 else "%.2f" % vibration
    return [maker, "%.1f" % age, "%.3f" % load, "%.1f" % temperature, measured, service,
            "yes" if broke else "no"]


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    path = sys.argv[1] if len(sys.argv) > 1 else os.path.join(here, "machines.csv")
    with open(path, "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(machine() for _ in range(600))


if __name__ == "__main__":
    main()
