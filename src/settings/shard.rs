//! The shard that a run takes.

use std::env;

use crate::cli::ShardChoice;
use crate::error::Error;
use crate::row::Shard;

/// Variables of AWS Batch: the number of a child of an array job, and the number of children.
const INDEX: &str = "AWS_BATCH_JOB_ARRAY_INDEX";
const SIZE: &str = "AWS_BATCH_JOB_ARRAY_SIZE";

/// Variables of other engines, and the option as it is written there. None of them tells in one way how many elements there are, and
/// from which number they count.
const ELSEWHERE: [(&str, &str); 2] = [
    (
        "JOB_COMPLETION_INDEX",
        "In a Kubernetes Indexed Job of N completions that is --shard \"$JOB_COMPLETION_INDEX/N\".",
    ),
    (
        "SLURM_ARRAY_TASK_ID",
        "In a Slurm array job with --array=0-M that is --shard \"$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT\".",
    ),
];

/// Returns the shard of `--shard`.
///
/// # Errors
/// It is `auto`, and AWS Batch has not named one.
pub(super) fn resolve(choice: ShardChoice) -> Result<Shard, Error> {
    match choice {
        ShardChoice::Given(shard) => Ok(shard),
        ShardChoice::Auto => of_environment(|name| env::var(name).ok()),
    }
}

fn of_environment(variable: impl Fn(&str) -> Option<String>) -> Result<Shard, Error> {
    let (index, size) = (variable(INDEX), variable(SIZE));
    let why = match (&index, &size) {
        (None, None) => "they are not set".to_owned(),
        (None, Some(_)) => format!("{INDEX} is not set"),
        (Some(_), None) => format!("{SIZE} is not set"),
        (Some(index), Some(size)) => match format!("{index}/{size}").parse() {
            Ok(shard) => return Ok(shard),
            Err(why) => format!("they are {index:?} and {size:?}: {why}"),
        },
    };
    let elsewhere = ELSEWHERE
        .into_iter()
        .find(|(name, _)| variable(name).is_some());
    let elsewhere = elsewhere.map_or("", |(_, written)| written);
    let hint = format!("Name the shard with --shard K/N, from 0. {elsewhere}");
    Err(Error::usage(format!(
        "--shard auto takes the shard from {INDEX} and {SIZE}, which AWS Batch sets: {why}"
    ))
    .hint(hint.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Result<Shard, String> {
        let variable = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        of_environment(variable).map_err(|error| error.to_string())
    }

    #[test]
    fn a_shard_is_taken_from_aws_batch_alone() {
        assert_eq!(
            of(&[(INDEX, "3"), (SIZE, "8")]),
            Ok(Shard::new(3, 8).expect("a shard"))
        );
        for (variables, why) in [
            (&[][..], "they are not set"),
            (&[(INDEX, "3")], "AWS_BATCH_JOB_ARRAY_SIZE is not set"),
            (&[(SIZE, "8")], "AWS_BATCH_JOB_ARRAY_INDEX is not set"),
            (&[(INDEX, "8"), (SIZE, "8")], "numbered from 0 to 7"),
            (&[(INDEX, "-1"), (SIZE, "")], "expected K/N"),
            (
                &[("JOB_COMPLETION_INDEX", "3")],
                "--shard \"$JOB_COMPLETION_INDEX/N\"",
            ),
            (
                &[("SLURM_ARRAY_TASK_ID", "3")],
                "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT",
            ),
        ] {
            let error = of(variables).expect_err("no shard");
            for part in [INDEX, SIZE, "--shard K/N", why] {
                assert!(error.contains(part), "{error}");
            }
        }
    }
}
