//! The countries whose public holidays are known.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A country, by its code of two letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[allow(missing_docs, reason = "the codes of ISO 3166 say which country each is")]
pub enum Country {
    At,
    Au,
    Be,
    Br,
    Ca,
    Ch,
    De,
    Dk,
    Es,
    Fi,
    Fr,
    Gb,
    Ie,
    In,
    It,
    Jp,
    Mx,
    Nl,
    No,
    Nz,
    Pl,
    Pt,
    Se,
    Us,
}

/// Codes and names.
const NAMES: &[(Country, &str, &[&str])] = &[
    (Country::At, "AT", &["Austria"]),
    (Country::Au, "AU", &["Australia"]),
    (Country::Be, "BE", &["Belgium"]),
    (Country::Br, "BR", &["Brazil"]),
    (Country::Ca, "CA", &["Canada"]),
    (Country::Ch, "CH", &["Switzerland"]),
    (Country::De, "DE", &["Germany"]),
    (Country::Dk, "DK", &["Denmark"]),
    (Country::Es, "ES", &["Spain"]),
    (Country::Fi, "FI", &["Finland"]),
    (Country::Fr, "FR", &["France"]),
    (Country::Gb, "GB", &["UK", "United Kingdom", "Great Britain", "England"]),
    (Country::Ie, "IE", &["Ireland"]),
    (Country::In, "IN", &["India"]),
    (Country::It, "IT", &["Italy"]),
    (Country::Jp, "JP", &["Japan"]),
    (Country::Mx, "MX", &["Mexico"]),
    (Country::Nl, "NL", &["Netherlands"]),
    (Country::No, "NO", &["Norway"]),
    (Country::Nz, "NZ", &["New Zealand"]),
    (Country::Pl, "PL", &["Poland"]),
    (Country::Pt, "PT", &["Portugal"]),
    (Country::Se, "SE", &["Sweden"]),
    (Country::Us, "US", &["USA", "United States", "United States of America"]),
];

/// Text that is none of the countries.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a country whose holidays are known; known: {}", Country::known())]
pub struct NotACountry;

impl Country {
    /// Every country.
    pub fn all() -> impl Iterator<Item = Self> {
        NAMES.iter().map(|(country, ..)| *country)
    }

    /// The codes, for messages.
    pub(crate) fn known() -> String {
        let codes: Vec<&str> = NAMES.iter().map(|(_, code, _)| *code).collect();
        codes.join(", ")
    }
}

impl FromStr for Country {
    type Err = NotACountry;

    fn from_str(text: &str) -> Result<Self, NotACountry> {
        let is_it =
            |name: &str| name.replace(' ', "").eq_ignore_ascii_case(&text.trim().replace(' ', ""));
        let found =
            NAMES.iter().find(|(_, code, names)| is_it(code) || names.iter().any(|n| is_it(n)));
        found.map(|(country, ..)| *country).ok_or(NotACountry)
    }
}

impl fmt::Display for Country {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = NAMES.iter().find(|(country, ..)| country == self);
        formatter.write_str(found.map_or("", |(_, code, _)| code))
    }
}

impl TryFrom<String> for Country {
    type Error = NotACountry;

    fn try_from(text: String) -> Result<Self, NotACountry> {
        text.parse()
    }
}

impl From<Country> for String {
    fn from(country: Country) -> Self {
        country.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_names_are_read() {
        for country in Country::all() {
            assert_eq!(country.to_string().parse(), Ok(country));
        }
        assert_eq!("united kingdom".parse(), Ok(Country::Gb));
        assert_eq!("us".parse(), Ok(Country::Us));
        assert_eq!("Atlantis".parse::<Country>(), Err(NotACountry));
    }
}
