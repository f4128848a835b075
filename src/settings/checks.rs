//! Checks of arguments against each other and against the rules of rows.

use crate::cli::InputArgs;
use crate::error::Error;
use crate::input::{Format, Input};
use crate::row::{Field, UnusualPolicy};
use crate::url::{CREDENTIALS_IN_URL, has_credentials};

/// Checks arguments before anything is opened. `columns` are those of the record, which a carried one may not repeat.
///
/// # Errors
/// They contradict each other, or a rule.
pub(super) fn check_arguments(
    args: &InputArgs,
    inputs: &[Input],
    columns: &[&str],
) -> Result<(), Error> {
    check_inputs(inputs)?;
    check_columns(args, inputs)?;
    check_carried(&args.carry, columns)?;
    check_fill(args)?;
    check_map(&args.map)
}

fn check_inputs(inputs: &[Input]) -> Result<(), Error> {
    let standard = inputs.iter().filter(|input| **input == Input::Stdin);
    if standard.count() > 1 {
        return Err(Error::usage("standard input (-) can be read only once"));
    }
    for input in inputs {
        if let Input::Object(uri) = input
            && (uri.bucket.is_empty() || uri.key.is_empty() || uri.key.ends_with('/'))
        {
            return Err(Error::usage(format!("{uri} names no object"))
                .hint("Write s3://BUCKET/KEY, one for each object."));
        }
    }
    Ok(())
}

/// Refuses an endpoint with a user name or password in its URL.
pub(super) fn check_endpoint(url: Option<&str>) -> Result<(), Error> {
    if url.is_some_and(has_credentials) {
        let why = CREDENTIALS_IN_URL;
        return Err(Error::usage(format!("--endpoint-url {why}")));
    }
    Ok(())
}

fn check_carried(carry: &[String], columns: &[&str]) -> Result<(), Error> {
    for (at, name) in carry.iter().enumerate() {
        if columns.contains(&name.as_str()) {
            return Err(Error::usage(format!(
                "--carry {name}: the results have a column of that name already"
            )));
        }
        if carry[..at].contains(name) {
            return Err(Error::usage(format!("--carry {name} is given twice")));
        }
    }
    Ok(())
}

/// Refuses two columns for one field: one of them would be ignored silently.
fn check_map(map: &[(Field, String)]) -> Result<(), Error> {
    for (at, (field, column)) in map.iter().enumerate() {
        if let Some((_, other)) = map[..at].iter().find(|(mapped, _)| mapped == field) {
            let field = field.name();
            return Err(Error::usage(format!(
                "--map takes {field} from two columns, {other} and {column}"
            )));
        }
    }
    Ok(())
}

/// Checks that `--columns` names the columns of something: of files without a header, or the one field of a list.
fn check_columns(input: &InputArgs, inputs: &[Input]) -> Result<(), Error> {
    if input.columns.is_none() || input.no_header {
        return Ok(());
    }
    let is_list = |named: &Input| {
        let of_name = named.path().and_then(Format::of_name);
        let of_name = of_name.map(|(format, _)| format);
        input.format.or(of_name) == Some(Format::Lines)
    };
    if inputs.iter().any(is_list) {
        return Ok(());
    }
    Err(
        Error::usage("--columns names the columns of files without a header")
            .hint("Add --no-header, or leave --columns out if the files have a header."),
    )
}

/// Checks the values that fill every row: a wrong one would make every row invalid.
fn check_fill(input: &InputArgs) -> Result<(), Error> {
    for (field, value) in [
        (Field::IdentityPoolId, &input.identity_pool_id),
        (Field::DeveloperProviderName, &input.developer_provider_name),
    ] {
        if let Some(value) = value {
            let usual = match UnusualPolicy::default().rejects(value) {
                Some(kind) => Err(format!("it {}", kind.description())),
                None => Ok(()),
            };
            let checked = field.check(value).map_err(|error| error.message);
            checked.and(usual).map_err(|reason| {
                let option = field.name().replace('_', "-");
                Error::usage(format!("--{option}: {reason}"))
            })?;
        }
    }
    Ok(())
}
