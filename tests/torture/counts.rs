//! What happened in the rounds, for the closing table.

use std::fmt::Write as _;

use cognito_unlink::emulator::{Counters, FaultKind, FaultShare};

/// The faults that fly, and in how many of a thousand calls.
const FAULTS: [(FaultKind, u16); 7] = [
    (FaultKind::Throttle, 4),
    (FaultKind::InternalError, 50),
    (FaultKind::ResetBefore, 30),
    (FaultKind::ResetAfter, 50),
    (FaultKind::Truncate, 30),
    (FaultKind::Hang, 10),
    (FaultKind::HangAfter, 20),
];

/// The same for the emulator.
pub(crate) fn faults() -> Vec<FaultShare> {
    let share = |(kind, share)| FaultShare {
        kind,
        share: f64::from(share) / 1000.0,
    };
    FAULTS.map(share).into()
}

/// Rounds in numbers.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) rounds: u64,
    pub(crate) kills: u64,
    pub(crate) signals: u64,
    pub(crate) cuts: u64,
    /// Side files that were damaged, cut or exchanged.
    pub(crate) tampered: u64,
    /// Lines of rows that were on the hold list.
    pub(crate) held: u64,
    /// Lines that cuts took.
    pub(crate) lost: u64,
    /// Of the rows of those: told `not_linked`, since nobody knew any more that they had been unlinked.
    pub(crate) lost_not_linked: u64,
    pub(crate) rows: u64,
    pub(crate) calls: u64,
    pub(crate) effects: u64,
    /// Struck, in the order of [`FAULTS`].
    pub(crate) faults: [u64; FAULTS.len()],
    /// Calls of rows whose link was gone already, by why they were made.
    pub(crate) after_kill: u64,
    pub(crate) after_cut: u64,
    pub(crate) after_lost_reply: u64,
    pub(crate) after_doubt: u64,
    /// Links removed and confirmed, without a line at a kill; and the most of them at one kill.
    pub(crate) unrecorded: u64,
    pub(crate) most_unrecorded: u64,
    /// By outcome, at the end.
    pub(crate) unlinked: u64,
    pub(crate) reply_lost: u64,
    pub(crate) not_linked: u64,
}

impl Counts {
    /// What the emulator has counted.
    pub(crate) fn seen(&mut self, seen: &Counters) {
        self.calls = seen.unlinks;
        self.effects = seen.effects;
        self.faults = FAULTS.map(|(kind, _)| seen.faults.get(&kind).copied().unwrap_or_default());
    }

    /// Calls of rows whose link was gone already.
    fn repeated(&self) -> u64 {
        self.after_kill + self.after_cut + self.after_lost_reply + self.after_doubt
    }

    fn named(&self) -> Vec<(String, u64)> {
        let mut named = vec![
            ("rounds", self.rounds),
            ("kills", self.kills),
            ("signals", self.signals),
            ("cuts of the results' tail", self.cuts),
            ("side files tampered with", self.tampered),
            ("lines of rows that are held", self.held),
            ("rows", self.rows),
            ("  told unlinked", self.unlinked),
            ("  told unlinked_reply_lost", self.reply_lost),
            ("  told not_linked", self.not_linked),
            ("lines lost to cuts", self.lost),
            ("  their rows told not_linked", self.lost_not_linked),
            ("calls", self.calls),
            ("  that removed a link", self.effects),
            ("  repeated, the link gone", self.repeated()),
            ("    after a kill", self.after_kill),
            ("    after a cut", self.after_cut),
            ("    after a lost reply", self.after_lost_reply),
            ("    of a row left in doubt", self.after_doubt),
            ("answers without a line at a kill", self.unrecorded),
            ("  most at one kill", self.most_unrecorded),
        ];
        named.push(("faults", self.faults.iter().sum()));
        let mut named: Vec<_> = named
            .into_iter()
            .map(|(name, number)| (name.to_owned(), number))
            .collect();
        for ((kind, _), struck) in FAULTS.iter().zip(self.faults) {
            named.push((format!("  {kind}"), struck));
        }
        named
    }

    /// Adds another round.
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
            tampered: self.tampered + other.tampered,
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

/// A column for each of two sums.
pub(crate) fn table(heads: [&str; 2], sums: &[Counts; 2]) -> String {
    let mut text = format!("\n{:<34}{:>9}{:>9}\n", "", heads[0], heads[1]);
    let [first, second] = sums.each_ref().map(Counts::named);
    for ((name, first), (_, second)) in first.into_iter().zip(second) {
        writeln!(text, "{name:<34}{first:>9}{second:>9}").expect("a string takes any text");
    }
    text
}
