//! The application name in the user agent of each call, by which CloudTrail shows the run.

use aws_config::AppName;

/// Program and version.
const PROGRAM: &str = concat!("cognito-unlink-", env!("CARGO_PKG_VERSION"));

/// Longest name that the SDK recommends, in characters. AWS may cut off what is longer: the end of the run's id.
const MAX_LENGTH: usize = 50;

/// Returns the name: program, version and the id of the run, if there is one.
pub(super) fn app_name(run_id: Option<&str>) -> AppName {
    AppName::new(name(PROGRAM, run_id)).expect("versions and run ids have no other characters")
}

/// Joins program and run. If both are too long together, the program's name goes without its version: the run's id must not be
/// cut off.
fn name(program: &str, run_id: Option<&str>) -> String {
    let Some(run_id) = run_id else {
        return program.to_owned();
    };
    let name = format!("{program}-{run_id}");
    if name.len() <= MAX_LENGTH {
        name
    } else {
        format!("{}-{run_id}", env!("CARGO_PKG_NAME"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: &str = "20261123T093000Z-5f3a9c";

    #[test]
    fn a_name_has_the_version_and_the_run() {
        let version = env!("CARGO_PKG_VERSION");
        let alone = app_name(None);
        assert_eq!(alone.as_ref(), format!("cognito-unlink-{version}"));
        let with_run = app_name(Some(RUN));
        assert_eq!(with_run.as_ref(), format!("{alone}-{RUN}"));
    }

    #[test]
    fn a_long_version_does_not_cut_off_the_run() {
        for (version, expected) in [
            ("10.20.300", format!("cognito-unlink-10.20.300-{RUN}")),
            ("0.10.0-rc.12", format!("cognito-unlink-{RUN}")),
        ] {
            let name = name(&format!("cognito-unlink-{version}"), Some(RUN));
            assert_eq!(name, expected);
            assert!(name.len() <= MAX_LENGTH, "{name}");
        }
    }
}
