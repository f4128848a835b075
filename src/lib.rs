//! The library behind the `cognito-unlink` program. It has no stable API.
//!
//! # The path of a row
//!
//! ```text
//! input → row → scan → guard → admission → call → verdict → results → report        pipeline: drives it all
//!                                                                                   emulator: stands in for AWS
//! ```
//!
//! | room | is |
//! |---|---|
//! | [`cli`] | argument definitions and the manual: text |
//! | [`settings`] | the arguments, resolved, and the configuration file |
//! | [`row`] | a row, its key and its position |
//! | [`input`] | readers: bytes → records → rows |
//! | [`scan`] | a row before any call: done, held, forbidden, invalid, to do |
//! | [`guard`] | what must be true before a call: account, pools, confirmation, hold lists |
//! | [`admission`] | rate limit, pace, calls in flight, circuit breaker |
//! | [`objects`] | objects in a store such as S3: their names, and what a store must do |
//! | [`call`] | the clients' traits: a call with its last check, a look-up |
//! | [`aws`] | requests and replies; the only room that uses the AWS crates |
//! | [`verdict`] | pure: reply → verdict → end or delay |
//! | [`pipeline`] | reader, dispatcher, workers, counts; generic over the job |
//! | [`runner`] | begins and ends a run of any job |
//! | [`jobs`] | each job's call, verdicts, outcomes and lines |
//! | [`results`] | the results file: append, resume, in-flight marks |
//! | [`plan`] | a run's forecast, saved for review and enforced |
//! | [`report`] | progress, log and summary |
//! | [`overview`] | `report`: what results files say, as text, JSON and a page; depends on no call |
//! | [`aws_cli`] | the single call, as the AWS CLI makes it |
//! | [`emulator`] | the Cognito Identity API on loopback; depends on no other room |
//!
//! Beside them: [`error`], [`exit`] and [`exit_policy`]; [`signal`] and [`supervisor`]; [`stderr`] and [`terminal`]; [`files`],
//! [`os_limits`], [`operation`], [`saved_quotas`], [`command_line`], [`clock`], [`url`].
//!
//! # Glossary
//!
//! One word has one meaning, here and in messages.
//!
//! | word | meaning |
//! |---|---|
//! | abort | to stop at once: calls in flight are cancelled and recorded as in doubt |
//! | admission | the decision that an attempt may start: circuit breaker, permit, pace, token |
//! | attempt | one call of a row, from its admission to its reply |
//! | call | one request to the service and its reply |
//! | carried column | an input column that is copied into the results (`--carry`) |
//! | circuit breaker | stops the calls of a Region that does not reply, or all calls while the credentials are not accepted |
//! | claim | an entry of a segment: once the segment is acknowledged, the run may call the row |
//! | classify | to decide the verdict on a reply |
//! | control question | the look-up of a user that cannot exist, with whose answer other answers are compared |
//! | drain | to start no more calls and wait for those in flight |
//! | end | the end of a row in the pipeline's terms; the job maps it to an outcome |
//! | failure limit | the number of rows of one outcome beyond which a run halts (`--max-failures`) |
//! | fence | the segment with which a run begins; an earlier run finds its number taken, and stops |
//! | halt | to end a run for a reason outside its rows: credentials, permissions, the pool, the disk |
//! | held | on a hold list, and therefore never sent |
//! | history | the attempts of one row so far |
//! | in doubt | may have taken effect: an attempt got no conclusive reply |
//! | in flight | sent, without a reply so far |
//! | invalid | breaks a rule, and is never sent |
//! | job | the work that the pipeline does for each row: an unlink, a look-up |
//! | key | a hash of a row's four fields; rows are identified by content, never by number |
//! | last check | the check between the connection and the first byte of a request |
//! | last login | the one without which an identity is inaccessible, for good |
//! | lease | the slot of the side file and the worker that an open row has |
//! | line | the record of one settled row in the results |
//! | link | a developer user identifier linked to an identity: the four fields of a row |
//! | mark | a record that a row may be in flight: an entry of the side file, or a claim in a segment |
//! | near match | equal to a line of a hold list but for case, white space, invisible characters, quotes or Unicode form |
//! | open row | read, and not yet recorded |
//! | operation | a kind of call by AWS's name, as `UnlinkDeveloperIdentity`; each has a quota of its own |
//! | outcome | the end of a row in the job's words, as the results name it |
//! | permit | the right to one call in flight |
//! | policy | the number of attempts of a row, and the time for them |
//! | pseudonym | a keyed hash in place of a value that names a person |
//! | queue | the attempts of one operation in one Region that wait for admission, with the pace and limits that they share |
//! | quota | the calls per second of an operation that the service accepts in a Region; learned, as AWS does not publish it |
//! | rate | the operator's ceiling on the calls started per second (`--rate`) |
//! | reply | the response to a call, before it is judged |
//! | runs log | the file beside the results with a line when a run begins and one when it ends (`people.runs.jsonl`) |
//! | scan | to check a row before any call |
//! | segment | a numbered object of results in a store: lines, and a claim |
//! | settled | having an outcome |
//! | shard | the rows of a job whose identities hash to one number; one process runs it (`--shard K/N`) |
//! | side file | the file beside the results that holds the marks (`people.results.csv.inflight`) |
//! | snapshot | a run at one moment, for progress |
//! | source text | the text of a row as its input has it, to be written to another file |
//! | store | a service that keeps objects, such as Amazon S3 |
//! | take over | to go on with the results of a run that has died |
//! | tally | the counts of a run |
//! | token | the right to start one call now, under the rate |
//! | unresolved | without links: a row of a resolve, with the reason |
//! | verdict | the meaning of a reply |

mod admission;
mod aws;
mod aws_cli;
mod call;
mod cli;
mod clock;
mod command_line;
mod emulator;
mod error;
mod exit;
mod exit_policy;
mod files;
mod guard;
mod input;
mod jobs;
mod objects;
mod operation;
mod os_limits;
mod overview;
mod pipeline;
mod plan;
mod program;
mod report;
mod results;
mod row;
mod runner;
mod saved_quotas;
mod scan;
mod settings;
mod signal;
mod stderr;
mod supervisor;
mod terminal;
mod url;
mod verdict;

#[doc(hidden)]
pub mod testing;

/// Runs the program with the arguments of this process, and returns its exit code.
#[must_use]
pub fn main() -> std::process::ExitCode {
    program::main()
}
