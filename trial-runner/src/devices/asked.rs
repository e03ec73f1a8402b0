//! What somebody wants models to be trained on, as it is written after `--device`.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use super::apart::{has_compiler, look};
use super::found::Found;
use super::{Card, Device, Looked};

/// What somebody wants models to be trained on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Asked {
    /// On all graphics cards, where there are any.
    #[default]
    Auto,
    /// On the processor.
    Cpu,
    /// On all graphics cards, of which there must be one.
    AllCards,
    /// On these graphics cards.
    Cards(Numbers),
}

/// Numbers of cards, at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbers(u64);

/// A device, and why it is none where it might have been one.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// What was chosen.
    pub device: Device,
    /// Why there is no card.
    pub no_card_because: Option<String>,
    /// Cards that nobody named and that cannot be used, and why.
    pub without: Vec<String>,
}

impl Numbers {
    /// In ascending order.
    fn iter(self) -> impl Iterator<Item = u32> {
        (0..u64::BITS).filter(move |number| self.0 >> number & 1 == 1)
    }
}

impl Asked {
    /// Looks for the device. Each card is used by a process of its own, of `program`, which is fleetfit
    /// itself; compiled kernels are kept in a folder.
    pub fn find(self, program: &Path, kernels: &Path) -> Result<Choice, String> {
        let wanted = match self {
            Self::Cpu => return Ok(Choice::default()),
            Self::Auto | Self::AllCards => None,
            Self::Cards(numbers) => Some(numbers),
        };
        let Looked { cards, broken, none_because } = look(program);
        let cards = match (none_because.map_or_else(|| usable(cards, program), Err), self) {
            (Ok(cards), _) => cards,
            (Err(reason), Self::Auto) => {
                let no_card_because = Some(reason);
                return Ok(Choice { no_card_because, ..Choice::default() });
            }
            (Err(reason), _) => return Err(format!("{self} cannot be used: {reason}")),
        };
        let chosen = match wanted {
            None => cards,
            Some(numbers) => {
                let named = |number: u32| {
                    let name = format!("cuda:{number}");
                    let card = cards.iter().find(|card| card.device == name).cloned();
                    let broken = broken.iter().find(|broken| broken.device == name);
                    card.ok_or_else(|| match broken {
                        Some(broken) => format!("{name} cannot be used: {}", broken.because),
                        None => format!("there is no {name}: this machine has {}", listed(&cards)),
                    })
                };
                numbers.iter().map(named).collect::<Result<Vec<_>, _>>()?
            }
        };
        let found = chosen.into_iter().map(|card| Found::new(card, program, kernels));
        let device = Device::of(found.collect());
        let told = broken.iter().filter(|_| wanted.is_none());
        let without = told.map(|broken| format!("{}: {}", broken.device, broken.because));
        Ok(Choice { device, no_card_because: None, without: without.collect() })
    }
}

/// Those that kernels can be compiled for.
fn usable(mut cards: Vec<Card>, program: &Path) -> Result<Vec<Card>, String> {
    cards.retain(|card| card.kernels(|| has_compiler(program)).is_some());
    match cards.is_empty() {
        false => Ok(cards),
        true => {
            Err("CUDA's compiler (libnvrtc.so.13), which cards of a compute capability below 8.0 \
                     need, is not found"
                .to_owned())
        }
    }
}

fn listed(cards: &[Card]) -> String {
    let all = cards.iter().map(|card| format!("{} ({})", card.device, card.name));
    all.collect::<Vec<_>>().join(", ")
}

impl FromStr for Asked {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => return Ok(Self::Auto),
            "cpu" => return Ok(Self::Cpu),
            "cuda" => return Ok(Self::AllCards),
            _ => {}
        }
        let number = |own: &str| {
            let own = own.strip_prefix("cuda:").unwrap_or(own);
            let number = own.parse::<u32>().ok()?;
            // As it is written here: no sign, and no zero before it.
            if number.to_string() == own { 1_u64.checked_shl(number) } else { None }
        };
        let bits = text
            .starts_with("cuda:")
            .then(|| text.split(',').try_fold(0, |bits, own| Some(bits | number(own)?)));
        bits.flatten().map(|bits| Self::Cards(Numbers(bits))).ok_or_else(|| {
            "write auto, cpu, cuda for every card, or some as cuda:0 or cuda:0,1".to_owned()
        })
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => formatter.write_str("auto"),
            Self::Cpu => formatter.write_str("cpu"),
            Self::AllCards => formatter.write_str("cuda"),
            Self::Cards(numbers) => {
                let numbers = numbers.iter().map(|number| number.to_string());
                write!(formatter, "cuda:{}", numbers.collect::<Vec<_>>().join(","))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slots::Slot;
    use crate::stop::Stop;

    #[test]
    fn devices_are_asked_for_by_their_names() {
        for text in ["auto", "cpu", "cuda", "cuda:0", "cuda:3", "cuda:0,1", "cuda:2,63"] {
            assert_eq!(text.parse::<Asked>().unwrap().to_string(), text);
        }
        let same: Asked = "cuda:1,cuda:0,1".parse().unwrap();
        assert_eq!(same.to_string(), "cuda:0,1");
        let none = ["gpu", "cuda:", "cuda:-1", "CUDA:0", "", "0", "cuda:0,", "cuda:64", "0,cuda:1"];
        let odd = ["cuda:+0", "cuda:00", "cuda:0,+1", "cuda:1,cuda:01", "cuda: 0", "cuda:0, 1"];
        for text in none.into_iter().chain(odd) {
            assert!(text.parse::<Asked>().unwrap_err().contains("cuda:0"), "{text}");
        }
    }

    #[test]
    fn the_processor_is_always_there() {
        let choice = Asked::Cpu.find(Path::new(""), Path::new("")).unwrap();
        assert_eq!(choice.device.to_string(), "cpu");
        assert_eq!(choice.no_card_because, None);
        assert!(choice.device.seat(4, &Stop::default(), &Slot::only()).is_none());
    }
}
