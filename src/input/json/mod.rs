//! JSON inputs: lines of objects, and documents as AWS prints them.

pub(crate) mod document;
pub(crate) mod lines;
