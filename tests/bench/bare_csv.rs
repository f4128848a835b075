//! The baseline of what reads CSV.

use std::path::Path;

/// Reads a CSV file with the csv crate alone, as the baseline.
pub(crate) fn read(path: &Path) {
    let mut reader = csv::Reader::from_path(path).expect("opened");
    let mut record = csv::ByteRecord::new();
    while reader.read_byte_record(&mut record).expect("read") {}
}
