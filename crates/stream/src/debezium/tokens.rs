//! The tokens of JSON as the quick way reads them (`scan.rs`): whatever is not surely right is `None`. In one function with
//! what calls it where that is small, because most of an event is skipped and the place in it should stay in a register.

/// How deep objects and arrays may stand in each other.
const DEPTH: u32 = 32;
/// A one and the high bit in each byte of a word.
const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// Bytes of JSON, and how far they are read.
pub(super) struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Scan<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Moves past any value.
    #[inline(always)]
    pub(super) fn skip(&mut self, depth: u32) -> Option<()> {
        match self.token()? {
            b'"' => self.skip_text(),
            b'-' | b'0'..=b'9' => self.skip_number(),
            b'n' => self.literal(b"null"),
            byte => self.skip_other(byte, depth),
        }
    }

    fn skip_other(&mut self, byte: u8, depth: u32) -> Option<()> {
        match byte {
            b't' => self.literal(b"true"),
            b'f' => self.literal(b"false"),
            b'{' => {
                self.begin(b'{', depth)?;
                let mut is_first = true;
                while self.key(is_first)?.is_some() {
                    is_first = false;
                    self.skip(depth + 1)?;
                }
                Some(())
            }
            _ => {
                self.begin(b'[', depth)?;
                if self.token()? == b']' {
                    self.at += 1;
                    return Some(());
                }
                loop {
                    self.skip(depth + 1)?;
                    let byte = self.token()?;
                    self.at += 1;
                    match byte {
                        b',' => {}
                        b']' => return Some(()),
                        _ => return None,
                    }
                }
            }
        }
    }

    /// The next byte that is no space, left where it is.
    #[inline(always)]
    pub(super) fn token(&mut self) -> Option<u8> {
        loop {
            let byte = *self.bytes.get(self.at)?;
            if !matches!(byte, b' ' | b'\n' | b'\t' | b'\r') {
                return Some(byte);
            }
            self.at += 1;
        }
    }

    #[inline]
    pub(super) fn begin(&mut self, bracket: u8, depth: u32) -> Option<()> {
        let begins = self.token()? == bracket && depth < DEPTH;
        self.at += 1;
        begins.then_some(())
    }

    /// The next key of an object, up to and including its colon; `Some(None)` is the object's end.
    #[inline(always)]
    pub(super) fn key(&mut self, is_first: bool) -> Option<Option<&'a [u8]>> {
        let mut byte = self.token()?;
        if byte == b'}' {
            self.at += 1;
            return Some(None);
        }
        if !is_first {
            if byte != b',' {
                return None;
            }
            self.at += 1;
            byte = self.token()?;
        }
        if byte != b'"' {
            return None;
        }
        let (key, is_ascii) = self.text()?;
        if self.token()? != b':' {
            return None;
        }
        self.at += 1;
        // Bytes that are no UTF-8 are for serde_json to judge.
        (is_ascii || std::str::from_utf8(key).is_ok()).then_some(Some(key))
    }

    pub(super) fn known_text(&mut self) -> Option<&'a str> {
        if self.token()? != b'"' {
            return None;
        }
        std::str::from_utf8(self.text()?.0).ok()
    }

    /// What stands between the quote at hand and the next, without escapes, and whether all of it is ASCII.
    #[inline(always)]
    fn text(&mut self) -> Option<(&'a [u8], bool)> {
        let start = self.at + 1;
        let (end, high) = self.stop(start)?;
        if self.bytes[end] != b'"' {
            return None;
        }
        self.at = end + 1;
        Some((&self.bytes[start..end], high == 0))
    }

    #[inline(always)]
    fn skip_text(&mut self) -> Option<()> {
        self.at += 1;
        loop {
            let (end, _) = self.stop(self.at)?;
            self.at = end + 1;
            match self.bytes[end] {
                b'"' => return Some(()),
                b'\\' => match self.bytes.get(end + 1)? {
                    b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.at = end + 2,
                    b'u' if self.bytes.get(end + 2..end + 6)?.iter().all(u8::is_ascii_hexdigit) => self.at = end + 6,
                    _ => return None,
                },
                _ => return None,
            }
        }
    }

    /// The place of the first quote, backslash or control character from `at` on, found eight bytes at a time, and the high
    /// bits of the bytes before it.
    #[inline(always)]
    fn stop(&self, mut at: usize) -> Option<(usize, u64)> {
        let mut high = 0;
        while let Some(Ok(word)) = self.bytes.get(at..at + 8).map(<[u8; 8]>::try_from) {
            let word = u64::from_le_bytes(word);
            // The high bit is set in each byte that is zero (or below 32); borrows reach only bytes above the first one.
            let zero = |value: u64| value.wrapping_sub(ONES) & !value;
            let control = word.wrapping_sub(ONES * 0x20) & !word;
            let stops = (zero(word ^ (ONES * u64::from(b'"'))) | zero(word ^ (ONES * u64::from(b'\\'))) | control) & HIGHS;
            if stops != 0 {
                let before = (stops & stops.wrapping_neg()) - 1;
                return Some((at + (stops.trailing_zeros() / 8) as usize, high | (word & before & HIGHS)));
            }
            high |= word & HIGHS;
            at += 8;
        }
        let rest = self.bytes.get(at..)?;
        let place = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f))?;
        Some((at + place, high | u64::from(!rest[..place].is_ascii())))
    }

    #[inline]
    pub(super) fn literal(&mut self, literal: &[u8]) -> Option<()> {
        let stands = self.bytes.get(self.at..)?.starts_with(literal);
        self.at += literal.len();
        stands.then_some(())
    }

    /// A whole number of 18 digits at most. Minus zero is left alone: for serde_json it is no whole number.
    #[inline]
    pub(super) fn whole(&mut self) -> Option<i64> {
        let is_negative = self.token()? == b'-';
        let start = self.at + usize::from(is_negative);
        let (mut at, mut value) = (start, 0_i64);
        while let Some(digit @ b'0'..=b'9') = self.bytes.get(at) {
            value = value.wrapping_mul(10).wrapping_add(i64::from(digit - b'0'));
            at += 1;
        }
        let digits = at - start;
        let has_more = matches!(self.bytes.get(at), Some(b'.' | b'e' | b'E'));
        if digits == 0 || digits > 18 || has_more || (self.bytes[start] == b'0' && (digits > 1 || is_negative)) {
            return None;
        }
        self.at = at;
        Some(if is_negative { -value } else { value })
    }

    #[inline(always)]
    fn skip_number(&mut self) -> Option<()> {
        self.at += usize::from(self.bytes.get(self.at) == Some(&b'-'));
        let start = self.at;
        self.skip_digits()?;
        if self.bytes[start] == b'0' && self.at > start + 1 {
            return None;
        }
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.skip_digits()?;
        }
        if let Some(b'e' | b'E') = self.bytes.get(self.at) {
            self.at += 1;
            self.at += usize::from(matches!(self.bytes.get(self.at), Some(b'+' | b'-')));
            self.skip_digits()?;
        }
        Some(())
    }

    /// Moves past one digit or more.
    #[inline(always)]
    fn skip_digits(&mut self) -> Option<()> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.bytes.get(self.at) {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }
}
