//! The quick way through an event's JSON, for the shape that connectors write day in, day out: one pass over the bytes,
//! nothing copied. It accepts only what serde_json would read the same way; whatever it is not sure of (escapes in what
//! is needed, fractions, more than 18 digits, an error of any kind) it leaves to serde_json by returning `None`.

use std::borrow::Cow;

use super::columns::Columns;
use super::envelope::{Envelope, Row, Source};
use super::tokens::Scan;
use crate::scalar::Scalar;

/// The envelope in these bytes, alone or as the `payload` beside its schema.
pub(super) fn envelope<'a>(bytes: &'a [u8], columns: &Columns) -> Option<Envelope<'a>> {
    let (mut scan, mut envelope) = (Scan::new(bytes), Envelope::default());
    scan.envelope(columns, 0, &mut envelope)?;
    scan.token().is_none().then_some(envelope)
}

impl<'a> Scan<'a> {
    fn envelope(&mut self, columns: &Columns, depth: u32, envelope: &mut Envelope<'a>) -> Option<()> {
        self.begin(b'{', depth)?;
        let (mut is_first, mut has_payload) = (true, false);
        while let Some(key) = self.key(is_first)? {
            is_first = false;
            match key {
                // What stands beside a payload does not count.
                b"before" | b"after" | b"source" | b"op" | b"payload" if has_payload => return None,
                b"before" => self.row(columns, &mut envelope.before)?,
                b"after" => self.row(columns, &mut envelope.after)?,
                b"source" => envelope.source = self.source()?,
                b"op" => envelope.op = self.known_text()?.bytes().next().unwrap_or_default(),
                b"payload" => {
                    has_payload = true;
                    *envelope = Envelope::default();
                    self.envelope(columns, depth + 1, envelope)?;
                }
                _ => self.skip(depth + 1)?,
            }
        }
        Some(())
    }

    fn row(&mut self, columns: &Columns, row: &mut Option<Row<'a>>) -> Option<()> {
        *row = None;
        if self.token()? == b'n' {
            return self.literal(b"null");
        }
        let row = row.insert(Row::default());
        let (mut expected, mut is_first) = (0, true);
        self.begin(b'{', 0)?;
        while let Some(key) = self.key(is_first)? {
            is_first = false;
            match columns.place(key, expected) {
                Some(place) => {
                    row[place] = self.scalar()?;
                    expected = place + 1;
                }
                None => self.skip(0)?,
            }
        }
        Some(())
    }

    fn source(&mut self) -> Option<Option<Source<'a>>> {
        if self.token()? == b'n' {
            return self.literal(b"null").map(|()| None);
        }
        let (mut source, mut is_first) = (Source::default(), true);
        // A field that stands there twice is an error.
        let mut seen = [false; 5];
        self.begin(b'{', 0)?;
        while let Some(key) = self.key(is_first)? {
            is_first = false;
            let place = match key {
                b"lsn" => 0,
                b"file" => 1,
                b"pos" => 2,
                b"row" => 3,
                b"ts_ms" => 4,
                _ => {
                    self.skip(0)?;
                    continue;
                }
            };
            if std::mem::replace(&mut seen[place], true) {
                return None;
            }
            if self.token()? == b'n' {
                self.literal(b"null")?;
                continue;
            }
            match place {
                0 => source.lsn = Some(self.whole()?.try_into().ok()?),
                1 => source.file = Some(Cow::Borrowed(self.known_text()?)),
                2 => source.pos = Some(self.whole()?.try_into().ok()?),
                3 => source.row = Some(self.whole()?.try_into().ok()?),
                _ => source.ts_ms = Some(self.whole()?),
            }
        }
        Some(Some(source))
    }

    fn scalar(&mut self) -> Option<Scalar<'a>> {
        match self.token()? {
            b'"' => self.known_text().map(|text| Scalar::Text(Cow::Borrowed(text))),
            b'-' | b'0'..=b'9' => self.whole().map(Scalar::Int),
            b'n' => self.literal(b"null").map(|()| Scalar::Null),
            _ => self.skip(0).map(|()| Scalar::Other),
        }
    }
}
