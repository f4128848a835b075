//! stub
pub mod row;pub mod outcome; pub mod retry; pub mod admit; pub mod call;
