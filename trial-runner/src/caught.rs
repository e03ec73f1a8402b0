//! Panics of other people's code, caught without a word on the terminal.

use std::any::Any;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    /// Whether a panic on this thread is caught, and told as a reason.
    static IS_CAUGHT: Cell<bool> = const { Cell::new(false) };
}

/// What a panic carried.
pub(crate) struct Panic(pub(crate) Box<dyn Any + Send>);

impl Panic {
    /// Its message, where it has one.
    pub(crate) fn message(&self) -> Option<&str> {
        let text = self.0.downcast_ref::<String>().map(String::as_str);
        text.or_else(|| self.0.downcast_ref::<&str>().copied())
    }
}

/// Runs something that may panic. Nothing is printed; panics elsewhere are, as ever.
pub(crate) fn caught<T>(act: impl FnOnce() -> T) -> Result<T, Panic> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let print = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !IS_CAUGHT.get() {
                print(info);
            }
        }));
    });
    let before = IS_CAUGHT.replace(true);
    let outcome = panic::catch_unwind(AssertUnwindSafe(act));
    IS_CAUGHT.set(before);
    outcome.map_err(Panic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_through() {
        assert_eq!(caught(|| 1).ok(), Some(1));
        let formatted = caught(|| panic!("{} of {}", 1, 2)).err().unwrap();
        assert_eq!(formatted.message(), Some("1 of 2"));
        let plain = caught(|| caught(|| panic!("plain")).err().unwrap()).ok().unwrap();
        assert_eq!(plain.message(), Some("plain"));
        assert!(!IS_CAUGHT.get());
        let other = caught(|| panic::panic_any(7_u8)).err().unwrap();
        assert_eq!(other.message(), None);
    }
}
