//! The public holidays of each country, as its laws have them.

use fleetfit_search_spaces::data::Country;

use super::always;

/// A day of every year. Weekdays count from Monday, which is 0; months from 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Day {
    /// A month and a day.
    On(i64, i64),
    /// Days after Easter Sunday.
    Easter(i64),
    /// The nth such weekday of a month.
    Nth(i64, i64, i64),
    /// The last such weekday of a month.
    Last(i64, i64),
    /// The first such weekday from a month and a day on.
    OnOrAfter(i64, i64, i64),
    /// In March, in Tokyo.
    SpringEquinox,
    /// In September, in Tokyo.
    AutumnEquinox,
}

/// A holiday, and the years that have it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rule {
    pub(super) day: Day,
    pub(super) from: i64,
    pub(super) until: i64,
}

/// Where a holiday on a weekend is observed too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moved {
    Never,
    /// On Friday or Monday.
    ToNearest,
    /// On the next working day.
    ToMonday,
    /// One on a Sunday on the next day that is none.
    FromSunday,
}

const MON: i64 = 0;
const THU: i64 = 3;
const SAT: i64 = 5;

const NEW_YEAR: Rule = always(Day::On(1, 1));
const EPIPHANY: Rule = always(Day::On(1, 6));
const MAUNDY_THURSDAY: Rule = always(Day::Easter(-3));
const GOOD_FRIDAY: Rule = always(Day::Easter(-2));
const EASTER: Rule = always(Day::Easter(0));
const EASTER_MONDAY: Rule = always(Day::Easter(1));
const LABOUR: Rule = always(Day::On(5, 1));
const ASCENSION: Rule = always(Day::Easter(39));
const WHIT_SUNDAY: Rule = always(Day::Easter(49));
const WHIT_MONDAY: Rule = always(Day::Easter(50));
const CORPUS_CHRISTI: Rule = always(Day::Easter(60));
const ASSUMPTION: Rule = always(Day::On(8, 15));
const ALL_SAINTS: Rule = always(Day::On(11, 1));
const CONCEPTION: Rule = always(Day::On(12, 8));
const CHRISTMAS: Rule = always(Day::On(12, 25));
const SECOND_CHRISTMAS: Rule = always(Day::On(12, 26));

const fn on(month: i64, day: i64) -> Rule {
    always(Day::On(month, day))
}

const fn nth(n: i64, week: i64, month: i64) -> Rule {
    always(Day::Nth(n, week, month))
}

const fn last(week: i64, month: i64) -> Rule {
    always(Day::Last(week, month))
}

const fn since(from: i64, rule: Rule) -> Rule {
    Rule { from, ..rule }
}

const fn until(until: i64, rule: Rule) -> Rule {
    Rule { until, ..rule }
}

const fn only(year: i64, month: i64, day: i64) -> Rule {
    Rule { day: Day::On(month, day), from: year, until: year }
}

/// A country's rules, and where a holiday on a weekend goes.
pub(super) fn of(country: Country) -> (&'static [Rule], Moved) {
    match country {
        Country::At => (
            const {
                &[
                    NEW_YEAR,
                    EPIPHANY,
                    EASTER_MONDAY,
                    LABOUR,
                    ASCENSION,
                    WHIT_MONDAY,
                    CORPUS_CHRISTI,
                    ASSUMPTION,
                    on(10, 26),
                    ALL_SAINTS,
                    CONCEPTION,
                    CHRISTMAS,
                    SECOND_CHRISTMAS,
                ]
            },
            Moved::Never,
        ),
        Country::Au => (
            const {
                &[
                    NEW_YEAR,
                    on(1, 26),
                    GOOD_FRIDAY,
                    always(Day::Easter(-1)),
                    EASTER_MONDAY,
                    on(4, 25),
                    nth(2, MON, 6),
                    CHRISTMAS,
                    SECOND_CHRISTMAS,
                ]
            },
            Moved::ToMonday,
        ),
        Country::Be => (
            const {
                &[
                    NEW_YEAR,
                    EASTER_MONDAY,
                    LABOUR,
                    ASCENSION,
                    WHIT_MONDAY,
                    on(7, 21),
                    ASSUMPTION,
                    ALL_SAINTS,
                    on(11, 11),
                    CHRISTMAS,
                ]
            },
            Moved::Never,
        ),
        Country::Br => (
            const {
                &[
                    NEW_YEAR,
                    always(Day::Easter(-48)),
                    always(Day::Easter(-47)),
                    GOOD_FRIDAY,
                    on(4, 21),
                    LABOUR,
                    CORPUS_CHRISTI,
                    on(9, 7),
                    on(10, 12),
                    on(11, 2),
                    on(11, 15),
                    since(2024, on(11, 20)),
                    CHRISTMAS,
                ]
            },
            Moved::Never,
        ),
        Country::Ca => (
            const {
                &[
                    NEW_YEAR,
                    GOOD_FRIDAY,
                    always(Day::OnOrAfter(MON, 5, 18)),
                    on(7, 1),
                    nth(1, MON, 9),
                    since(2021, on(9, 30)),
                    nth(2, MON, 10),
                    on(11, 11),
                    CHRISTMAS,
                    SECOND_CHRISTMAS,
                ]
            },
            Moved::Never,
        ),
        Country::Ch => (
            const {
                &[
                    NEW_YEAR,
                    GOOD_FRIDAY,
                    EASTER_MONDAY,
                    ASCENSION,
                    WHIT_MONDAY,
                    on(8, 1),
                    CHRISTMAS,
                    SECOND_CHRISTMAS,
                ]
            },
            Moved::Never,
        ),
        Country::De => (
            const {
                &[
                    NEW_YEAR,
                    GOOD_FRIDAY,
                    EASTER_MONDAY,
                    LABOUR,
                    ASCENSION,
                    WHIT_MONDAY,
                    since(1990, on(10, 3)),
                    CHRISTMAS,
                    SECOND_CHRISTMAS,
                ]
            },
            Moved::Never,
        ),
        Country::Dk => (
            const {
                &[
                    NEW_YEAR,
                    MAUNDY_THURSDAY,
                    GOOD_FRIDAY,
                    EASTER,
                    EASTER_MONDAY,
                    until(2023, always(Day::Easter(26))),
                    ASCENSION,
                    WHIT_SUNDAY,
                    WHIT_MONDAY,
                    CHRISTMAS,
                    SECOND_CHRISTMAS,
                ]
            },
            Moved::Never,
        ),
        Country::Es => (
            const {
                &[
                    NEW_YEAR,
                    EPIPHANY,
                    GOOD_FRIDAY,
                    LABOUR,
                    ASSUMPTION,
                    on(10, 12),
                    ALL_SAINTS,
                    on(12, 6),
                    CONCEPTION,
                    CHRISTMAS,
                ]
            },
            Moved::Never,
        ),
        Country::Fi => (
            const {
                &[
                    NEW_YEAR,
                    EPIPHANY,
                    GOOD_FRIDAY,
                    EASTER,
                    EASTER_MONDAY,
                    LABOUR,
                    ASCENSION,
                    WHIT_SUNDAY,
                    always(Day::OnOrAfter(SAT, 6, 20)),
                    always(Day::OnOrAfter(SAT, 10, 31)),
                    on(12, 6),
                    CHRISTMAS,
                    SECOND_CHRISTMAS,
                ]
            },
            Moved::Never,
        ),
        Country::Fr => (
            const {
                &[
                    NEW_YEAR,
                    EASTER_MONDAY,
                    LABOUR,
                    on(5, 8),
                    ASCENSION,
                    WHIT_MONDAY,
                    on(7, 14),
                    ASSUMPTION,
                    ALL_SAINTS,
                    on(11, 11),
                    CHRISTMAS,
                ]
            },
            Moved::Never,
        ),
        Country::Gb => (
            const {
                &[
                    NEW_YEAR,
                    GOOD_FRIDAY,
                    EASTER_MONDAY,
                    nth(1, MON, 5),
                    last(MON, 5),
                    last(MON, 8),
                    CHRISTMAS,
                    SECOND_CHRISTMAS,
                ]
            },
            Moved::ToMonday,
        ),
        Country::Ie => (
            const {
                &[
                    NEW_YEAR,
                    since(2023, nth(1, MON, 2)),
                    on(3, 17),
                    EASTER_MONDAY,
                    nth(1, MON, 5),
                    nth(1, MON, 6),
                    nth(1, MON, 8),
                    last(MON, 10),
                    CHRISTMAS,
                    SECOND_CHRISTMAS,
                ]
            },
            Moved::Never,
        ),
        Country::In => (const { &[on(1, 26), on(8, 15), on(10, 2)] }, Moved::Never),
        Country::It => (
            const {
                &[
                    NEW_YEAR,
                    EPIPHANY,
                    EASTER,
                    EASTER_MONDAY,
                    on(4, 25),
                    LABOUR,
                    on(6, 2),
                    ASSUMPTION,
                    ALL_SAINTS,
                    CONCEPTION,
                    CHRISTMAS,
                    SECOND_CHRISTMAS,
                ]
            },
            Moved::Never,
        ),
        Country::Jp => (JAPAN, Moved::FromSunday),
        Country::Mx => (
            const {
                &[
                    NEW_YEAR,
                    nth(1, MON, 2),
                    nth(3, MON, 3),
                    LABOUR,
                    on(9, 16),
                    nth(3, MON, 11),
                    CHRISTMAS,
                ]
            },
            Moved::Never,
        ),
        Country::Nl => (
            const {
                &[
                    NEW_YEAR,
                    EASTER,
                    EASTER_MONDAY,
                    until(2013, on(4, 30)),
                    since(2014, on(4, 27)),
                    ASCENSION,
                    WHIT_SUNDAY,
                    WHIT_MONDAY,
                    CHRISTMAS,
                    SECOND_CHRISTMAS,
                ]
            },
            Moved::Never,
        ),
        Country::No => (
            const {
                &[
                    NEW_YEAR,
                    MAUNDY_THURSDAY,
                    GOOD_FRIDAY,
                    EASTER,
                    EASTER_MONDAY,
                    LABOUR,
                    on(5, 17),
                    ASCENSION,
                    WHIT_SUNDAY,
                    WHIT_MONDAY,
                    CHRISTMAS,
                    SECOND_CHRISTMAS,
                ]
            },
            Moved::Never,
        ),
        Country::Nz => (NEW_ZEALAND, Moved::ToMonday),
        Country::Pl => (
            const {
                &[
                    NEW_YEAR,
                    since(2011, EPIPHANY),
                    EASTER,
                    EASTER_MONDAY,
                    LABOUR,
                    on(5, 3),
                    WHIT_SUNDAY,
                    CORPUS_CHRISTI,
                    ASSUMPTION,
                    ALL_SAINTS,
                    on(11, 11),
                    since(2025, on(12, 24)),
                    CHRISTMAS,
                    SECOND_CHRISTMAS,
                ]
            },
            Moved::Never,
        ),
        Country::Pt => (
            const {
                &[
                    NEW_YEAR,
                    GOOD_FRIDAY,
                    EASTER,
                    on(4, 25),
                    LABOUR,
                    CORPUS_CHRISTI,
                    on(6, 10),
                    ASSUMPTION,
                    on(10, 5),
                    ALL_SAINTS,
                    on(12, 1),
                    CONCEPTION,
                    CHRISTMAS,
                ]
            },
            Moved::Never,
        ),
        Country::Se => (
            const {
                &[
                    NEW_YEAR,
                    EPIPHANY,
                    GOOD_FRIDAY,
                    EASTER,
                    EASTER_MONDAY,
                    LABOUR,
                    ASCENSION,
                    WHIT_SUNDAY,
                    on(6, 6),
                    always(Day::OnOrAfter(SAT, 6, 20)),
                    always(Day::OnOrAfter(SAT, 10, 31)),
                    CHRISTMAS,
                    SECOND_CHRISTMAS,
                ]
            },
            Moved::Never,
        ),
        Country::Us => (
            const {
                &[
                    NEW_YEAR,
                    since(1986, nth(3, MON, 1)),
                    nth(3, MON, 2),
                    last(MON, 5),
                    since(2021, on(6, 19)),
                    on(7, 4),
                    nth(1, MON, 9),
                    nth(2, MON, 10),
                    on(11, 11),
                    nth(4, THU, 11),
                    CHRISTMAS,
                ]
            },
            Moved::ToNearest,
        ),
    }
}

const JAPAN: &[Rule] = &[
    NEW_YEAR,
    nth(2, MON, 1),
    on(2, 11),
    since(2020, on(2, 23)),
    always(Day::SpringEquinox),
    on(4, 29),
    on(5, 3),
    on(5, 4),
    on(5, 5),
    nth(3, MON, 7),
    since(2016, on(8, 11)),
    nth(3, MON, 9),
    always(Day::AutumnEquinox),
    nth(2, MON, 10),
    on(11, 3),
    on(11, 23),
    Rule { day: Day::On(12, 23), from: 1989, until: 2018 },
];

const NEW_ZEALAND: &[Rule] = &[
    NEW_YEAR,
    on(1, 2),
    on(2, 6),
    GOOD_FRIDAY,
    EASTER_MONDAY,
    on(4, 25),
    nth(1, MON, 6),
    only(2022, 6, 24),
    only(2023, 7, 14),
    only(2024, 6, 28),
    only(2025, 6, 20),
    only(2026, 7, 10),
    only(2027, 6, 25),
    only(2028, 7, 14),
    only(2029, 7, 6),
    only(2030, 6, 21),
    nth(4, MON, 10),
    CHRISTMAS,
    SECOND_CHRISTMAS,
];
