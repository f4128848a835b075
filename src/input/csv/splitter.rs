//! The fields of a CSV record.

use csv_core::{ReadRecordResult, ReaderBuilder};

/// Splits records into fields.
pub(crate) struct Splitter {
    delimiter: u8,
    core: csv_core::Reader,
    /// The fields of a record with quotes, unquoted.
    unquoted: Vec<u8>,
    spans: Vec<(usize, usize)>,
    count: usize,
}

/// The fields of one record.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'a> {
    text: &'a [u8],
    spans: &'a [(usize, usize)],
    /// Number of fields, including those that were not kept.
    pub(crate) count: usize,
}

impl<'a> Fields<'a> {
    /// Returns the field in this column, if it was kept.
    pub(crate) fn get(self, column: usize) -> Option<&'a [u8]> {
        let &(start, end) = self.spans.get(column)?;
        Some(&self.text[start..end])
    }
}

impl Splitter {
    pub(crate) fn new(delimiter: u8) -> Self {
        let mut core = ReaderBuilder::new().delimiter(delimiter).build();
        // The core drops a byte order mark before the first bytes that it reads; in a record it would be a field's own text.
        core.read_record(b"\n", &mut [0], &mut [0]);
        Self {
            delimiter,
            core,
            unquoted: Vec::new(),
            spans: Vec::new(),
            count: 0,
        }
    }

    /// Splits `record`, which has no flaw and no line end. Counts all fields and keeps the first `kept`, so that a line of nothing but
    /// delimiters does not need many times its own size.
    pub(crate) fn split<'a>(&'a mut self, record: &'a [u8], kept: usize) -> Fields<'a> {
        self.spans.clear();
        self.count = 0;
        let text = if memchr::memchr(b'"', record).is_none() {
            self.split_bare(record, kept);
            record
        } else {
            self.split_quoted(record, kept);
            &self.unquoted
        };
        Fields {
            text,
            spans: &self.spans,
            count: self.count,
        }
    }

    fn split_bare(&mut self, record: &[u8], kept: usize) {
        let mut start = 0;
        for end in memchr::memchr_iter(self.delimiter, record).chain([record.len()]) {
            self.keep(start, end, kept);
            start = end + 1;
        }
    }

    fn split_quoted(&mut self, record: &[u8], kept: usize) {
        // One byte more than can be written, since the core asks for room before it reads the line end.
        if self.unquoted.len() <= record.len() {
            self.unquoted.resize(record.len() + 1, 0);
        }
        let (mut written, mut start) = (0, 0);
        let mut ends = [0; 16];
        for mut rest in [record, b"\n"] {
            loop {
                let (result, read, wrote, ended) =
                    self.core
                        .read_record(rest, &mut self.unquoted[written..], &mut ends);
                rest = &rest[read..];
                written += wrote;
                for &end in &ends[..ended] {
                    self.keep(start, end, kept);
                    start = end;
                }
                if result != ReadRecordResult::OutputEndsFull || rest.is_empty() {
                    break;
                }
            }
        }
    }

    fn keep(&mut self, start: usize, end: usize, kept: usize) {
        self.count += 1;
        if self.spans.len() < kept {
            self.spans.push((start, end));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_split_into_unquoted_fields() {
        let many = format!("\"q\"{}", ",x".repeat(99));
        for (record, expected) in [
            ("a,b", vec!["a", "b"]),
            (" a ,", vec![" a ", ""]),
            (",", vec!["", ""]),
            ("\"\"", vec![""]),
            ("\"\",", vec!["", ""]),
            ("\"a\"\"\n,\r\",b", vec!["a\"\n,\r", "b"]),
            ("\u{feff}a,\"b\"", vec!["\u{feff}a", "b"]),
            ("\"a\0\",\0", vec!["a\0", "\0"]),
            (&many, [vec!["q"], vec!["x"; 99]].concat()),
        ] {
            let mut splitter = Splitter::new(b',');
            // Twice: no part of a record may be left for the next.
            for _ in 0..2 {
                let fields = splitter.split(record.as_bytes(), usize::MAX);
                let got: Vec<_> = (0..fields.count).map(|i| fields.get(i)).collect();
                let expected: Vec<_> = expected.iter().map(|f| Some(f.as_bytes())).collect();
                assert_eq!(got, expected, "{record:?}");
            }
            let fields = splitter.split(record.as_bytes(), 1);
            assert_eq!((fields.count, fields.spans.len()), (expected.len(), 1));
        }
    }
}
