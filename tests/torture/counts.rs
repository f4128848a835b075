//! Counts what happens in the rounds, for the table at the end.

use std::fmt::Write as _;

use cognito_unlink::testing::emulator::{Counters, FaultKind, FaultShare};

/// The emulator's faults, each with its share of calls in thousandths.
const FAULTS: [(FaultKind, u16); 7] = [
    (FaultKind::Throttle, 4),
    (FaultKind::InternalError, 50),
    (FaultKind::ResetBefore, 30),
    (FaultKind::ResetAfter, 50),
    (FaultKind::Truncate, 30),
    (FaultKind::Hang, 10),
    (FaultKind::HangAfter, 20),
];

/// Returns [`FAULTS`] as the emulator takes them.
pub(crate) fn faults() -> Vec<FaultShare> {
    let share = |(kind, share)| FaultShare {
        kind,
        share: f64::from(share) / 1000.0,
    };
    FAULTS.map(share).into()
}

/// The numbers of one or more rounds.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) rounds: u64,
    pub(crate) kills: u64,
    pub(crate) signals: u64,
    pub(crate) cuts: u64,
    /// Side files that were damaged, cut or replaced by older ones.
    pub(crate) damaged: u64,
    /// Lines of rows that were on the hold list.
    pub(crate) held: u64,
    /// Lines that cuts removed.
    pub(crate) lost: u64,
    /// Rows that are `not_linked` although a run unlinked them: a cut removed every trace of their calls.
    pub(crate) lost_not_linked: u64,
    pub(crate) rows: u64,
    pub(crate) calls: u64,
    pub(crate) effects: u64,
    /// Faults that the emulator caused, in the order of [`FAULTS`].
    pub(crate) faults: [u64; FAULTS.len()],
    /// Calls for links that were removed before, by the reason why they were made.
    pub(crate) after_kill: u64,
    pub(crate) after_cut: u64,
    pub(crate) after_lost_reply: u64,
    pub(crate) after_doubt: u64,
    /// Links whose removal was confirmed but not recorded when the program was killed: all of them, and the most at one kill.
    pub(crate) unrecorded: u64,
    pub(crate) most_unrecorded: u64,
    /// Rows by outcome in the end.
    pub(crate) unlinked: u64,
    pub(crate) reply_lost: u64,
    pub(crate) not_linked: u64,
}

impl Counts {
    /// Takes over the emulator's counters.
    pub(crate) fn set_emulator(&mut self, counters: &Counters) {
        self.calls = counters.unlinks;
        self.effects = counters.effects;
        let count = |(kind, _)| counters.faults.get(&kind).copied().unwrap_or_default();
        self.faults = FAULTS.map(count);
    }

    /// Returns the calls for links that were removed before.
    fn repeated(&self) -> u64 {
        self.after_kill + self.after_cut + self.after_lost_reply + self.after_doubt
    }

    fn named(&self) -> Vec<(String, u64)> {
        let mut named = vec![
            ("rounds", self.rounds),
            ("kills", self.kills),
            ("signals", self.signals),
            ("cuts of the results' tail", self.cuts),
            ("side files damaged", self.damaged),
            ("lines of held rows", self.held),
            ("rows", self.rows),
            ("  unlinked", self.unlinked),
            ("  unlinked_reply_lost", self.reply_lost),
            ("  not_linked", self.not_linked),
            ("lines lost to cuts", self.lost),
            ("  rows not_linked for that", self.lost_not_linked),
            ("calls", self.calls),
            ("  that removed a link", self.effects),
            ("  repeated, the link gone", self.repeated()),
            ("    after a kill", self.after_kill),
            ("    after a cut", self.after_cut),
            ("    after a lost reply", self.after_lost_reply),
            ("    of a row in doubt", self.after_doubt),
            ("replies not recorded at a kill", self.unrecorded),
            ("  most at one kill", self.most_unrecorded),
        ];
        named.push(("faults", self.faults.iter().sum()));
        let mut named: Vec<_> = named
            .into_iter()
            .map(|(name, number)| (name.to_owned(), number))
            .collect();
        for ((kind, _), count) in FAULTS.iter().zip(self.faults) {
            named.push((format!("  {kind}"), count));
        }
        named
    }

    /// Adds the numbers of another round.
    pub(crate) fn add(&mut self, other: &Self) {
        let mut faults = self.faults;
        for (sum, more) in faults.iter_mut().zip(other.faults) {
            *sum += more;
        }
        *self = Self {
            rounds: self.rounds + other.rounds,
            kills: self.kills + other.kills,
            signals: self.signals + other.signals,
            cuts: self.cuts + other.cuts,
            damaged: self.damaged + other.damaged,
            held: self.held + other.held,
            lost: self.lost + other.lost,
            lost_not_linked: self.lost_not_linked + other.lost_not_linked,
            rows: self.rows + other.rows,
            calls: self.calls + other.calls,
            effects: self.effects + other.effects,
            faults,
            after_kill: self.after_kill + other.after_kill,
            after_cut: self.after_cut + other.after_cut,
            after_lost_reply: self.after_lost_reply + other.after_lost_reply,
            after_doubt: self.after_doubt + other.after_doubt,
            unrecorded: self.unrecorded + other.unrecorded,
            most_unrecorded: self.most_unrecorded.max(other.most_unrecorded),
            unlinked: self.unlinked + other.unlinked,
            reply_lost: self.reply_lost + other.reply_lost,
            not_linked: self.not_linked + other.not_linked,
        };
    }
}

/// Returns a table with a column for each of two sums.
pub(crate) fn table(heads: [&str; 2], sums: &[Counts; 2]) -> String {
    let mut text = format!("\n{:<34}{:>9}{:>9}\n", "", heads[0], heads[1]);
    let [first, second] = sums.each_ref().map(Counts::named);
    for ((name, first), (_, second)) in first.into_iter().zip(second) {
        writeln!(text, "{name:<34}{first:>9}{second:>9}").expect("a string takes any text");
    }
    text
}
