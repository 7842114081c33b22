//! The frame of PostgreSQL's binary `COPY`: a header, tuples of counted fields, a trailer. Free of I/O: pieces of any
//! size come in, whole tuples go out; a tuple that a piece cuts off waits for the next one.

/// What every binary copy begins with.
const SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";
/// Signature, flags, length of the header's extension.
const HEADER: usize = 19;
/// More columns than any entity has.
pub(super) const MAX_COLUMNS: usize = 16;

/// The stream is not what `COPY ... (format binary)` gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server's binary copy is damaged: {0}")]
pub(super) struct Malformed(pub(super) &'static str);

/// Splits a stream into tuples.
#[derive(Debug)]
pub(super) struct Decoder {
    columns: usize,
    /// The beginning of what is not whole yet.
    pending: Vec<u8>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Header,
    Tuples,
    Ended,
}

impl Decoder {
    /// For tuples of so many columns, `MAX_COLUMNS` at most.
    pub(super) fn new(columns: usize) -> Self {
        Self { columns, pending: Vec::new(), state: State::Header }
    }

    /// Takes the next piece; `tuple` gets the fields of each tuple that is whole by now, `None` being null.
    pub(super) fn feed(
        &mut self,
        piece: &[u8],
        tuple: &mut impl FnMut(&[Option<&[u8]>]) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        if self.pending.is_empty() {
            let used = self.take(piece, tuple)?;
            self.pending.extend_from_slice(&piece[used..]);
            return Ok(());
        }
        let mut bytes = std::mem::take(&mut self.pending);
        bytes.extend_from_slice(piece);
        let used = self.take(&bytes, tuple)?;
        bytes.drain(..used);
        self.pending = bytes;
        Ok(())
    }

    /// The stream has ended.
    pub(super) fn finish(&self) -> Result<(), Malformed> {
        if self.state == State::Ended && self.pending.is_empty() { Ok(()) } else { Err(Malformed("it ends before its trailer")) }
    }

    /// How many bytes made whole parts.
    fn take(&mut self, bytes: &[u8], tuple: &mut impl FnMut(&[Option<&[u8]>]) -> Result<(), Malformed>) -> Result<usize, Malformed> {
        let mut used = 0;
        if self.state == State::Header {
            let Some(length) = header(bytes)? else { return Ok(0) };
            used = length;
            self.state = State::Tuples;
        }
        while self.state == State::Tuples {
            let mut fields = [None; MAX_COLUMNS];
            match self.tuple(&bytes[used..], &mut fields)? {
                Part::Cut => return Ok(used),
                Part::Trailer => {
                    used += 2;
                    self.state = State::Ended;
                }
                Part::Tuple(length) => {
                    used += length;
                    tuple(&fields[..self.columns])?;
                }
            }
        }
        if used < bytes.len() { Err(Malformed("there is more after its trailer")) } else { Ok(used) }
    }

    fn tuple<'a>(&self, bytes: &'a [u8], fields: &mut [Option<&'a [u8]>; MAX_COLUMNS]) -> Result<Part, Malformed> {
        let Some(count) = bytes.first_chunk::<2>() else { return Ok(Part::Cut) };
        let count = i16::from_be_bytes(*count);
        if count == -1 {
            return Ok(Part::Trailer);
        }
        if usize::try_from(count) != Ok(self.columns) {
            return Err(Malformed("a tuple has another number of fields"));
        }
        let mut at = 2;
        for field in fields.iter_mut().take(self.columns) {
            let Some(length) = bytes.get(at..).and_then(|rest| rest.first_chunk::<4>()) else { return Ok(Part::Cut) };
            let length = i32::from_be_bytes(*length);
            at += 4;
            if length == -1 {
                continue;
            }
            let length = usize::try_from(length).map_err(|_| Malformed("a field has a negative length"))?;
            let Some(value) = bytes.get(at..at + length) else { return Ok(Part::Cut) };
            *field = Some(value);
            at += length;
        }
        Ok(Part::Tuple(at))
    }
}

enum Part {
    /// The rest is not here yet.
    Cut,
    Trailer,
    /// A tuple of so many bytes.
    Tuple(usize),
}

/// Length of the header with its extension, once it is whole.
fn header(bytes: &[u8]) -> Result<Option<usize>, Malformed> {
    let begun = bytes.len().min(SIGNATURE.len());
    if bytes[..begun] != SIGNATURE[..begun] {
        return Err(Malformed("it does not begin with its signature"));
    }
    let Some(extension) = bytes.get(HEADER - 4..).and_then(|rest| rest.first_chunk::<4>()) else { return Ok(None) };
    let length = HEADER + u32::from_be_bytes(*extension) as usize;
    Ok((bytes.len() >= length).then_some(length))
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;

    use super::*;

    type Row = Vec<Option<Vec<u8>>>;

    fn encode(rows: &[Row]) -> Vec<u8> {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend([0; 8]);
        for row in rows {
            bytes.extend((row.len() as i16).to_be_bytes());
            for field in row {
                bytes.extend(field.as_ref().map_or(-1, |field| field.len() as i32).to_be_bytes());
                bytes.extend(field.iter().flatten());
            }
        }
        bytes.extend((-1_i16).to_be_bytes());
        bytes
    }

    fn decode<'a>(columns: usize, pieces: impl Iterator<Item = &'a [u8]>) -> Result<Vec<Row>, Malformed> {
        let (mut decoder, mut rows) = (Decoder::new(columns), Vec::new());
        for piece in pieces {
            decoder.feed(piece, &mut |fields| {
                rows.push(fields.iter().map(|field| field.map(<[u8]>::to_vec)).collect());
                Ok(())
            })?;
        }
        decoder.finish().map(|()| rows)
    }

    fn tables() -> impl Strategy<Value = (usize, Vec<Row>)> {
        (1..=MAX_COLUMNS).prop_flat_map(|columns| (Just(columns), vec(vec(option::of(vec(any::<u8>(), 0..40)), columns), 0..12)))
    }

    proptest! {
        #[test]
        fn rows_come_back_however_the_stream_is_cut((columns, rows) in tables(), cuts in vec(1..64_usize, 1..200)) {
            let bytes = encode(&rows);
            let (mut pieces, mut rest, mut cuts) = (Vec::new(), bytes.as_slice(), cuts.iter().cycle());
            while let Some(cut) = cuts.next().filter(|_| !rest.is_empty()) {
                let (piece, after) = rest.split_at((*cut).min(rest.len()));
                pieces.push(piece);
                rest = after;
            }
            prop_assert_eq!(decode(columns, pieces.into_iter()), Ok(rows.clone()));
            prop_assert_eq!(decode(columns, bytes.chunks(1)), Ok(rows));
        }

        #[test]
        fn a_stream_that_breaks_off_is_an_error((columns, rows) in tables(), at in any::<prop::sample::Index>()) {
            let bytes = encode(&rows);
            let bytes = &bytes[..at.index(bytes.len())];
            prop_assert_eq!(decode(columns, std::iter::once(bytes)), Err(Malformed("it ends before its trailer")));
        }

        #[test]
        fn noise_is_refused_without_a_panic(columns in 1..=MAX_COLUMNS, noise in vec(any::<u8>(), 0..200)) {
            let mut bytes = encode(&[]);
            bytes.truncate(HEADER);
            bytes.extend(&noise);
            let _ = decode(columns, bytes.chunks(7));
            let _ = decode(columns, noise.chunks(7));
        }
    }

    #[test]
    fn what_is_no_copy_is_told() {
        let row = vec![Some(b"a".to_vec())];
        let mut longer = encode(std::slice::from_ref(&row));
        longer.push(0);
        for (bytes, columns, fault) in [
            (b"PGDUMP".to_vec(), 1, "it does not begin with its signature"),
            (encode(std::slice::from_ref(&row)), 2, "a tuple has another number of fields"),
            (longer, 1, "there is more after its trailer"),
        ] {
            assert_eq!(decode(columns, std::iter::once(bytes.as_slice())), Err(Malformed(fault)));
        }
        let mut negative = encode(&[row]);
        negative[HEADER + 2..HEADER + 6].copy_from_slice(&(-2_i32).to_be_bytes());
        assert_eq!(decode(1, std::iter::once(negative.as_slice())), Err(Malformed("a field has a negative length")));
    }

    #[test]
    fn a_headers_extension_is_skipped() {
        let mut bytes = encode(&[vec![Some(b"a".to_vec())]]);
        bytes[HEADER - 1] = 3;
        bytes.splice(HEADER..HEADER, *b"xyz");
        assert_eq!(decode(1, bytes.chunks(5)), Ok(vec![vec![Some(b"a".to_vec())]]));
    }
}
