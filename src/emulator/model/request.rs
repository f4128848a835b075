//! A request to the API.

use serde::Deserialize;
use serde_json::Value;

use super::api_error::ApiError;
use super::operation::Operation;
use super::shape::{self, InvalidInput};

/// An operation with its input, which may still break the operation's rules.
#[derive(Debug)]
pub(in crate::emulator) struct ApiRequest {
    pub(in crate::emulator) operation: Operation,
    input: Value,
}

impl ApiRequest {
    /// Parses the body of a request.
    ///
    /// # Errors
    /// The body is not JSON.
    pub(in crate::emulator) fn new(operation: Operation, body: &[u8]) -> Result<Self, ApiError> {
        // To AWS, an empty body is one without parameters.
        let body = if body.is_empty() { b"{}" } else { body };
        let mut input: Value = serde_json::from_slice(body)
            .map_err(|_| ApiError::new("SerializationException", ""))?;
        // To AWS, a parameter that is null is absent.
        if let Some(parameters) = input.as_object_mut() {
            parameters.retain(|_, value| !value.is_null());
        }
        Ok(Self { operation, input })
    }

    /// Returns a parameter that is a string.
    pub(in crate::emulator) fn text(&self, name: &str) -> Option<&str> {
        self.input.get(name)?.as_str()
    }

    /// Validates the input.
    pub(super) fn validate(&self) -> Result<(), InvalidInput> {
        shape::validate(self.operation.parameters(), &self.input)
    }

    /// Returns the parameters of a valid input.
    pub(super) fn parameters<'a, T: Deserialize<'a>>(&'a self) -> Result<T, ApiError> {
        // Validation has checked every type, so an error here is a mistake in the table of operations.
        T::deserialize(&self.input)
            .map_err(|error| ApiError::new("InternalErrorException", error.to_string()))
    }
}
