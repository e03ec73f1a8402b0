//! Integers and text in as few bytes as they need, and back without trusting a single byte.

/// The bytes end too early, or say something that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// Grows a record.
#[derive(Default)]
pub(super) struct Writer(pub(super) Vec<u8>);

impl Writer {
    pub(super) fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    /// Seven bits a byte, the low ones first.
    pub(super) fn unsigned(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    /// Small magnitudes of either sign stay short.
    pub(super) fn signed(&mut self, number: i64) {
        self.unsigned(((number << 1) ^ (number >> 63)) as u64);
    }

    pub(super) fn float(&mut self, number: f64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.unsigned(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    pub(super) fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    /// Equal neighbours as one value and how often it stands there.
    pub(super) fn runs(&mut self, column: impl IntoIterator<Item = u64>) {
        let mut current: Option<(u64, u64)> = None;
        for value in column {
            match &mut current {
                Some((repeated, count)) if *repeated == value => *count += 1,
                _ => {
                    self.end_run(current);
                    current = Some((value, 1));
                }
            }
        }
        self.end_run(current);
    }

    fn end_run(&mut self, run: Option<(u64, u64)>) {
        if let Some((value, count)) = run {
            self.unsigned(value);
            self.unsigned(count);
        }
    }
}

/// Reads what a [`Writer`] wrote.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn byte(&mut self) -> Result<u8, Malformed> {
        Ok(self.take(1)?[0])
    }

    pub(super) fn unsigned(&mut self) -> Result<u64, Malformed> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(Malformed);
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(Malformed)
    }

    pub(super) fn signed(&mut self) -> Result<i64, Malformed> {
        let number = self.unsigned()?;
        Ok((number >> 1) as i64 ^ -((number & 1) as i64))
    }

    pub(super) fn u32(&mut self) -> Result<u32, Malformed> {
        u32::try_from(self.unsigned()?).map_err(|_| Malformed)
    }

    /// A count of things that take at least one byte each, so that no record can ask for more
    /// memory than it has bytes.
    pub(super) fn count(&mut self) -> Result<usize, Malformed> {
        let count = usize::try_from(self.unsigned()?).map_err(|_| Malformed)?;
        if count > self.0.len() {
            return Err(Malformed);
        }
        Ok(count)
    }

    pub(super) fn float(&mut self) -> Result<f64, Malformed> {
        let bytes = self.take(8)?;
        let bytes = <[u8; 8]>::try_from(bytes).map_err(|_| Malformed)?;
        Ok(f64::from_le_bytes(bytes))
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.count()?;
        self.take(length)
    }

    pub(super) fn text(&mut self) -> Result<String, Malformed> {
        let bytes = self.bytes()?;
        String::from_utf8(bytes.to_vec()).map_err(|_| Malformed)
    }

    /// A column of so many values that [`Writer::runs`] wrote.
    pub(super) fn runs(&mut self, n: usize) -> Result<Vec<u64>, Malformed> {
        let mut column = Vec::with_capacity(n);
        while column.len() < n {
            let value = self.unsigned()?;
            let count = usize::try_from(self.unsigned()?).map_err(|_| Malformed)?;
            if count == 0 || count > n - column.len() {
                return Err(Malformed);
            }
            column.resize(column.len() + count, value);
        }
        Ok(column)
    }

    /// Nothing may follow.
    pub(super) fn end(&self) -> Result<(), Malformed> {
        if self.0.is_empty() { Ok(()) } else { Err(Malformed) }
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(n).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_come_back(
            a: u64,
            b: i64,
            c: f64,
            column in prop::collection::vec(0u64..3, 0..40),
        ) {
            let mut writer = Writer::default();
            writer.unsigned(a);
            writer.signed(b);
            writer.float(c);
            writer.runs(column.iter().copied());
            let mut reader = Reader(&writer.0);
            prop_assert_eq!(reader.unsigned(), Ok(a));
            prop_assert_eq!(reader.signed(), Ok(b));
            prop_assert_eq!(reader.float().map(f64::to_bits), Ok(c.to_bits()));
            prop_assert_eq!(reader.runs(column.len()), Ok(column));
            prop_assert_eq!(reader.end(), Ok(()));
        }
    }

    #[test]
    fn short_or_impossible_bytes_are_refused() {
        assert_eq!(Reader(&[]).byte(), Err(Malformed));
        assert_eq!(Reader(&[0x80; 20]).unsigned(), Err(Malformed));
        assert_eq!(Reader(&[0xff; 9]).unsigned(), Err(Malformed));
        assert_eq!(Reader(&[200, 1, 0]).bytes(), Err(Malformed));
        assert_eq!(Reader(&[7, 9]).runs(3), Err(Malformed));
        assert_eq!(Reader(&[7, 0]).runs(3), Err(Malformed));
    }
}
