//! Files of fitted models: a mark, the version of the format, a checksum, then the model's own bytes. So a file that is
//! damaged, cut off or from a newer program is refused before anything is read from it.

use crate::error::ForecastError;

const MARK: &[u8; 8] = b"sellcast";
/// Version of the files of models and of `frame.json`; a program reads its own and nothing newer.
pub(crate) const FORMAT: u32 = 1;
const HEADER: usize = 8 + 4 + 8;

/// `payload` with its header.
pub(crate) fn seal(payload: &[u8]) -> Vec<u8> {
    let mut file = Vec::with_capacity(HEADER + payload.len());
    file.extend_from_slice(MARK);
    file.extend_from_slice(&FORMAT.to_le_bytes());
    file.extend_from_slice(&checksum(payload).to_le_bytes());
    file.extend_from_slice(payload);
    file
}

/// The payload of a file, if it is whole and of a version that this program reads.
pub(crate) fn open<'a>(model: &str, file: &'a [u8]) -> Result<&'a [u8], ForecastError> {
    let refuse = |reason: String| Err(ForecastError::Model { model: model.to_owned(), reason });
    let Some((header, payload)) = file.split_at_checked(HEADER).filter(|(header, _)| header.starts_with(MARK)) else {
        return refuse("its file is damaged: it does not begin as a model file does".into());
    };
    let mut reader = Reader::new(model, &header[MARK.len()..]);
    check_format(model, reader.u32()?)?;
    if reader.u64()? != checksum(payload) {
        return refuse("its file is damaged: its content does not match its checksum".into());
    }
    Ok(payload)
}

/// Refuses a format that this program does not read.
pub(crate) fn check_format(model: &str, format: u32) -> Result<(), ForecastError> {
    let reason = match format {
        FORMAT => return Ok(()),
        newer if newer > FORMAT => format!("it was written by a newer version of this program (format {newer}, this one reads {FORMAT})"),
        older => format!("its format {older} is no longer read (this program reads {FORMAT})"),
    };
    Err(ForecastError::Model { model: model.to_owned(), reason })
}

/// FNV-1a with 64 bits: stable over releases, and enough against accidents.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Writes numbers and parts in the order in which [`Reader`] reads them, little-endian.
#[derive(Default)]
pub(crate) struct Writer(pub(crate) Vec<u8>);

impl Writer {
    pub(crate) fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn i64(&mut self, value: i64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn part(&mut self, bytes: &[u8]) {
        self.i64(bytes.len() as i64);
        self.0.extend_from_slice(bytes);
    }

    pub(crate) fn floats<'a>(&mut self, values: impl ExactSizeIterator<Item = &'a f32>) {
        self.i64(values.len() as i64);
        values.for_each(|value| self.0.extend_from_slice(&value.to_le_bytes()));
    }
}

/// Reads what [`Writer`] wrote; an end too early is an error, never a panic.
pub(crate) struct Reader<'a> {
    model: &'a str,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(model: &'a str, bytes: &'a [u8]) -> Self {
        Self { model, rest: bytes }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], ForecastError> {
        let short = || ForecastError::Model { model: self.model.to_owned(), reason: "its file is damaged: it ends too early".into() };
        let (taken, rest) = self.rest.split_at_checked(count).ok_or_else(short)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ForecastError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, ForecastError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, ForecastError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub(crate) fn i64(&mut self) -> Result<i64, ForecastError> {
        Ok(i64::from_le_bytes(self.array()?))
    }

    pub(crate) fn part(&mut self) -> Result<&'a [u8], ForecastError> {
        let length = self.u64()?;
        self.take(usize::try_from(length).unwrap_or(usize::MAX))
    }

    pub(crate) fn floats(&mut self) -> Result<Vec<f32>, ForecastError> {
        let count = self.u64()?;
        let bytes = self.take(usize::try_from(count).ok().and_then(|count| count.checked_mul(4)).unwrap_or(usize::MAX))?;
        Ok(bytes.chunks_exact(4).map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]])).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(file: &[u8]) -> String {
        open("tsb", file).expect_err("it must be refused").to_string()
    }

    #[test]
    fn a_whole_file_opens_and_any_flipped_or_missing_byte_is_noticed() {
        let file = seal(b"smoothing constants");
        assert_eq!(open("tsb", &file).expect("whole"), b"smoothing constants");
        for at in 0..file.len() {
            let mut damaged = file.clone();
            damaged[at] ^= 0x10;
            assert!(open("tsb", &damaged).is_err(), "byte {at}");
            assert!(open("tsb", &file[..at]).is_err(), "cut at {at}");
        }
        assert!(reason(&file[..30]).contains("damaged"));
    }

    #[test]
    fn a_newer_file_says_that_it_is_newer() {
        let mut file = seal(b"x");
        file[8] = 2;
        let said = reason(&file);
        assert!(said.contains("newer version") && said.contains("`tsb`"), "{said}");
    }
}
