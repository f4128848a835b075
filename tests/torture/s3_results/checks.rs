//! Checks the results in S3: the segments in the store against the emulator's log of calls and the proxy's log of requests.
//!
//! Each process signs with an access key of its own, so that every call and every put has an author. The emulator measures time
//! from its start, which is known to lie between two instants; a check of an order uses the one that excuses the program.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use cognito_unlink::testing::emulator::Call;
use tokio::time::Instant;

use super::counts::S3Counts;
use super::s3::{Kind, Passage};
use super::segments::Segment;
use crate::results_file::Line;
use crate::rows::Row;

/// What a world left behind.
pub(crate) struct Evidence<'a> {
    pub(crate) rows: &'a [Row],
    pub(crate) calls: Vec<Call>,
    pub(crate) passages: Vec<Passage>,
    pub(crate) segments: Vec<Segment>,
    /// The instants between which the emulator has started.
    pub(crate) emulator_started: [Instant; 2],
    /// Silence after which a run may be taken over.
    pub(crate) take_over_after: Duration,
    /// Returns a row's key as the segments have it.
    pub(crate) key_of: &'a dyn Fn(&Row) -> String,
}

/// A run of segments that one process has put.
#[derive(Debug, Clone, Copy)]
struct Epoch<'a> {
    author: &'a str,
    /// Places of its first segment and behind its last.
    first: usize,
    end: usize,
}

/// The segments, calls and authors, brought together.
struct Checker<'a> {
    evidence: &'a Evidence<'a>,
    /// Row of each user, and of each key.
    by_user: HashMap<&'a str, usize>,
    keys: Vec<String>,
    /// Author of each segment.
    authors: Vec<&'a str>,
    /// Time at which its author knew that a segment stands.
    acknowledged: Vec<Option<Instant>>,
    epochs: Vec<Epoch<'a>>,
    /// Places of the segments that claim a key.
    claims: HashMap<&'a str, Vec<usize>>,
    disagreements: Vec<String>,
}

/// Checks all evidence, and adds what it counts to `counts`.
pub(crate) fn check(evidence: &Evidence<'_>, counts: &mut S3Counts) -> Result<(), String> {
    let mut checker = Checker::new(evidence)?;
    checker.check_epochs(counts);
    checker.check_claims();
    checker.check_calls(counts);
    checker.check_rows(counts);
    checker.count_requests(counts);
    let all = checker.disagreements;
    match all.len() {
        0 => Ok(()),
        count => Err(format!(
            "{count} disagreements\n  {}",
            all[..count.min(20)].join("\n  ")
        )),
    }
}

impl<'a> Checker<'a> {
    fn new(evidence: &'a Evidence<'a>) -> Result<Self, String> {
        let is_other = |passage: &&Passage| passage.kind == Kind::Other;
        if let Some(other) = evidence.passages.iter().find(is_other) {
            return Err(format!("a request that is neither read nor put: {other:?}"));
        }
        let mut authors = Vec::new();
        let mut acknowledged = Vec::new();
        for segment in &evidence.segments {
            let of_it = evidence.passages.iter();
            let of_it = of_it.filter(|passage| passage.key == segment.key);
            let is_put =
                |passage: &&Passage| passage.kind == Kind::Put && passage.stored == Some(200);
            let puts: Vec<_> = of_it.clone().filter(is_put).collect();
            let &[put] = &puts[..] else {
                return Err(format!("{} was put {} times", segment.key, puts.len()));
            };
            let tells_author = |passage: &&Passage| {
                let is_read = matches!(passage.kind, Kind::Get | Kind::Head);
                passage.access_key == put.access_key
                    && (is_put(passage) || is_read && passage.stored == Some(200))
            };
            let told = of_it.filter(tells_author);
            acknowledged.push(told.filter_map(|passage| passage.answered).min());
            authors.push(put.access_key.as_str());
        }
        let mut epochs: Vec<Epoch<'a>> = Vec::new();
        for (at, author) in authors.iter().enumerate() {
            match epochs.last_mut() {
                Some(last) if last.author == *author => last.end = at + 1,
                _ => epochs.push(Epoch {
                    author,
                    first: at,
                    end: at + 1,
                }),
            }
        }
        let mut claims: HashMap<&str, Vec<usize>> = HashMap::new();
        for (at, segment) in evidence.segments.iter().enumerate() {
            for key in &segment.claim {
                claims.entry(key).or_default().push(at);
            }
        }
        let users = evidence.rows.iter().enumerate();
        Ok(Self {
            by_user: users
                .map(|(at, row)| (row.link.developer_user_identifier.as_str(), at))
                .collect(),
            keys: evidence.rows.iter().map(evidence.key_of).collect(),
            evidence,
            authors,
            acknowledged,
            epochs,
            claims,
            disagreements: Vec::new(),
        })
    }

    fn disagree(&mut self, what: String) {
        self.disagreements.push(what);
    }

    /// Returns the earliest and the latest instant at which a call may have arrived.
    fn arrival(&self, call: &Call) -> [Instant; 2] {
        self.evidence
            .emulator_started
            .map(|start| start + call.began)
    }

    /// Checks who put which segments: each process some in a row, of which the first is its fence, and after enough silence.
    fn check_epochs(&mut self, counts: &mut S3Counts) {
        let segments = &self.evidence.segments;
        let mut seen = HashSet::new();
        for (nth, epoch) in self.epochs.clone().into_iter().enumerate() {
            let Epoch { author, first, end } = epoch;
            if !seen.insert(author) {
                self.disagree(format!("{author} goes on behind the segments of another"));
            }
            let of_it = &segments[first..end];
            let fences = of_it.iter().map(|segment| segment.fence.is_some());
            if !fences.eq((first..end).map(|at| at == first)) {
                self.disagree(format!(
                    "{author} has a fence that is not its first segment"
                ));
            }
            if of_it
                .iter()
                .any(|segment| segment.run_id != of_it[0].run_id)
            {
                self.disagree(format!("{author} has two run ids"));
            }
            let ends = of_it.iter().map(|segment| segment.is_end);
            if ends.clone().rev().skip(1).any(|is_end| is_end) {
                self.disagree(format!("{author} goes on behind its end"));
            }
            if of_it.last().is_some_and(|last| last.is_end) {
                self.check_end(epoch);
            }
            let mut passages = self.evidence.passages.iter();
            let began = passages.find(|passage| passage.access_key == author);
            let (began, fence) = (began.expect("it has put a segment").came, self.came(first));
            if nth == 0 || segments[first - 1].is_end {
                continue;
            }
            counts.take_overs += 1;
            // It has looked before it waits.
            if fence - began < self.evidence.take_over_after {
                self.disagree(format!(
                    "{author} took over after {:?} although the run before had not ended",
                    fence - began
                ));
            }
        }
    }

    /// Checks that a run that has ended by itself has left no claim open.
    fn check_end(&mut self, epoch: Epoch<'_>) {
        let segments = &self.evidence.segments[epoch.first..epoch.end];
        let mut open: HashSet<&str> = HashSet::new();
        for segment in segments {
            for line in &segment.lines {
                if let Some(row) = self.by_user.get(line.user.as_str()) {
                    open.remove(self.keys[*row].as_str());
                }
            }
            for key in &segment.released {
                open.remove(key.as_str());
            }
            open.extend(segment.claim.iter().map(String::as_str));
        }
        if !open.is_empty() {
            let (author, left) = (epoch.author, open.len());
            self.disagree(format!("{author} has ended, and left {left} claims open"));
        }
    }

    /// Checks that nothing is claimed that is done, nor released that was sent.
    fn check_claims(&mut self) {
        let by_key: HashMap<&str, usize> = self
            .keys
            .iter()
            .enumerate()
            .map(|(row, key)| (key.as_str(), row))
            .collect();
        let mut done: HashSet<usize> = HashSet::new();
        let mut wrong = Vec::new();
        for (at, segment) in self.evidence.segments.iter().enumerate() {
            let done_here = segment.lines.iter().filter(|line| line.is_done());
            done.extend(done_here.filter_map(|line| self.by_user.get(line.user.as_str())));
            for key in &segment.claim {
                match by_key.get(key.as_str()) {
                    None => wrong.push(format!("{} claims {key}, which is no row", segment.key)),
                    Some(row) if done.contains(row) => {
                        wrong.push(format!("{} claims {key}, which is done", segment.key));
                    }
                    Some(_) => {}
                }
            }
            for key in &segment.released {
                let is_before =
                    |claim: &&usize| **claim <= at && self.authors[**claim] == self.authors[at];
                let claims = self.claims.get(key.as_str()).into_iter().flatten();
                let claim = claims.filter(is_before).max();
                let row = by_key.get(key.as_str());
                let (Some(&claim), Some(&row)) = (claim, row) else {
                    wrong.push(format!(
                        "{} releases {key}, which it has not claimed",
                        segment.key
                    ));
                    continue;
                };
                let user = &self.evidence.rows[row].link.developer_user_identifier;
                let (from, to) = (self.came(claim), self.came(at));
                // An error that is answered leaves no doubt.
                let is_sent = |call: &&Call| {
                    let [earliest, latest] = self.arrival(call);
                    (call.effect || call.code.is_none())
                        && call.access_key == self.authors[at]
                        && call.developer_user_identifier == *user
                        && latest > from
                        && earliest < to
                };
                if let Some(call) = self.evidence.calls.iter().find(is_sent) {
                    wrong.push(format!(
                        "{} releases a row whose call may have taken effect: {call:?}",
                        segment.key
                    ));
                }
            }
        }
        self.disagreements.extend(wrong);
    }

    /// Returns the time at which the put of a segment came.
    fn came(&self, at: usize) -> Instant {
        let (key, author) = (&self.evidence.segments[at].key, self.authors[at]);
        let mut passages = self.evidence.passages.iter();
        let put = passages.find(|passage| {
            passage.kind == Kind::Put && passage.key == *key && passage.access_key == author
        });
        put.expect("it was put").came
    }

    /// Checks that every call had an acknowledged claim, and every call of a link that was gone a reason.
    fn check_calls(&mut self, counts: &mut S3Counts) {
        let evidence = self.evidence;
        counts.calls += evidence.calls.len() as u64;
        counts.effects += evidence.calls.iter().filter(|call| call.effect).count() as u64;
        let mut before: BTreeMap<usize, Vec<&Call>> = BTreeMap::new();
        let mut repeated: HashMap<&str, u64> = HashMap::new();
        let mut late: HashMap<&str, HashSet<usize>> = HashMap::new();
        let mut calls: Vec<&Call> = evidence.calls.iter().collect();
        calls.sort_by_key(|call| call.began);
        for call in calls {
            let Some(&row) = self.by_user.get(call.developer_user_identifier.as_str()) else {
                self.disagree(format!("no row is called so: {call:?}"));
                continue;
            };
            if !self.is_claimed(row, call) {
                self.disagree(format!("a call without an acknowledged claim: {call:?}"));
                continue;
            }
            if self.is_recorded_as_done(row, call) {
                self.disagree(format!("called after its done line: {call:?}"));
            }
            if self.is_fenced(call) {
                late.entry(&call.access_key).or_default().insert(row);
            }
            let earlier = before.entry(row).or_default();
            let was_gone = earlier.iter().any(|call| call.effect);
            let of_it = |earlier: &&&Call| earlier.access_key == call.access_key;
            if was_gone && earlier.iter().any(|call| of_it(&call)) {
                counts.after_lost_reply += 1;
            } else if was_gone {
                match self.reason(row, call) {
                    Some(Reason::TakenOver) => {
                        *repeated.entry(&call.access_key).or_default() += 1;
                    }
                    Some(Reason::Doubt) => counts.after_doubt += 1,
                    Some(Reason::Stalled) => counts.by_stalled += 1,
                    None => self.disagree(format!(
                        "called without a reason after its link was removed: {call:?}, before it {earlier:?}"
                    )),
                }
            }
            before.entry(row).or_default().push(call);
        }
        for (author, rows) in late {
            counts.calls_of_fenced += rows.len() as u64;
            counts.most_calls_of_fenced = counts.most_calls_of_fenced.max(rows.len() as u64);
            let claims = evidence.segments.iter().zip(&self.authors);
            let claims = claims.filter(|(_, of)| **of == author);
            let largest = claims.map(|(segment, _)| segment.claim.len()).max();
            if rows.len() > largest.unwrap_or_default() {
                self.disagree(format!(
                    "{author} called {} rows after it was fenced, and claimed {largest:?} at once",
                    rows.len()
                ));
            }
        }
        counts.repeated += repeated.values().sum::<u64>();
        let most = repeated.values().copied().max().unwrap_or_default();
        counts.most_repeated = counts.most_repeated.max(most);
    }

    /// Returns true if a segment claims the row that its caller knew to stand before this call.
    fn is_claimed(&self, row: usize, call: &Call) -> bool {
        let claims = self.claims.get(self.keys[row].as_str());
        let [_, latest] = self.arrival(call);
        let is_known = |at: &usize| {
            self.authors[*at] == call.access_key
                && self.acknowledged[*at].is_some_and(|acknowledged| acknowledged <= latest)
        };
        claims.is_some_and(|claims| claims.iter().any(is_known))
    }

    /// Returns true if the caller itself has recorded the row as done before this call.
    fn is_recorded_as_done(&self, row: usize, call: &Call) -> bool {
        let user = &self.evidence.rows[row].link.developer_user_identifier;
        let [earliest, _] = self.arrival(call);
        let Some(epoch) = self
            .epochs
            .iter()
            .find(|epoch| epoch.author == call.access_key)
        else {
            return false;
        };
        let is_done = |at: &usize| {
            let mut lines = self.evidence.segments[*at].lines.iter();
            lines.any(|line| line.user == *user && line.is_done())
        };
        let done = (epoch.first..epoch.end).find(is_done);
        done.is_some_and(|at| self.came(at) < earliest)
    }

    /// Returns true if the caller was surely fenced before this call.
    fn is_fenced(&self, call: &Call) -> bool {
        let [earliest, _] = self.arrival(call);
        let epoch = self
            .epochs
            .iter()
            .find(|epoch| epoch.author == call.access_key);
        let fence = epoch.and_then(|epoch| self.acknowledged.get(epoch.end).copied().flatten());
        fence.is_some_and(|fence| fence < earliest)
    }

    /// Returns the reason for which a process calls a row whose link another process has removed.
    fn reason(&self, row: usize, call: &Call) -> Option<Reason> {
        let epochs = self.epochs.iter();
        let mut epochs = epochs.filter(|epoch| epoch.author == call.access_key);
        match self.doubt(row, epochs.next()?.first) {
            None if self.is_fenced(call) => Some(Reason::Stalled),
            reason => reason,
        }
    }

    /// Returns the reason for which a row is in doubt before the segment at `end`.
    fn doubt(&self, row: usize, end: usize) -> Option<Reason> {
        let key = &self.keys[row];
        let user = &self.evidence.rows[row].link.developer_user_identifier;
        let (mut doubt, mut before_claim) = (None, None);
        for segment in &self.evidence.segments[..end] {
            // Results and releases belong to earlier claims.
            if let Some(line) = segment.lines.iter().rfind(|line| line.user == *user) {
                doubt = (line.outcome == "in_doubt").then_some(Reason::Doubt);
            }
            // A claim of which nothing was sent adds no doubt, and takes away none that an earlier run has left.
            if segment.released.contains(key) {
                doubt = before_claim;
            }
            if segment.claim.contains(key) {
                before_claim = doubt;
                doubt = Some(Reason::TakenOver);
            }
        }
        doubt
    }

    /// Checks that every row has one done line, the last, which is true.
    fn check_rows(&mut self, counts: &mut S3Counts) {
        let mut lines: Vec<Vec<(usize, &Line)>> = vec![Vec::new(); self.keys.len()];
        for (at, segment) in self.evidence.segments.iter().enumerate() {
            for line in &segment.lines {
                match self.by_user.get(line.user.as_str()) {
                    Some(&row) => lines[row].push((at, line)),
                    None => self.disagreements.push(format!("{line:?} is of no row")),
                }
            }
        }
        for (row, lines) in lines.into_iter().enumerate() {
            counts.rows += 1;
            let done: Vec<bool> = lines.iter().map(|(_, line)| line.is_done()).collect();
            if done.last() != Some(&true) || done.iter().filter(|&&done| done).count() != 1 {
                counts.lost += u64::from(!done.contains(&true));
                self.disagree(format!("row {row} has the lines {lines:?}"));
                continue;
            }
            let (at, line) = *lines.last().expect("there is one");
            if let Err(why) = self.check_outcome(row, at, line, counts) {
                self.disagree(format!("{why}: {line:?} in segment {}", at + 1));
            }
        }
    }

    /// Checks a row's last line against the calls.
    fn check_outcome(
        &self,
        row: usize,
        at: usize,
        line: &Line,
        counts: &mut S3Counts,
    ) -> Result<(), &'static str> {
        let evidence = self.evidence;
        let of_row = |call: &&Call| call.developer_user_identifier == line.user;
        let calls: Vec<&Call> = evidence.calls.iter().filter(of_row).collect();
        let effects = calls.iter().filter(|call| call.effect).count();
        if effects != usize::from(evidence.rows[row].existed) {
            return Err("its link was not removed once");
        }
        let is_author = |call: &&&Call| call.access_key == self.authors[at];
        match line.outcome.as_str() {
            "unlinked" => {
                counts.unlinked += 1;
                let is_confirmed = |call: &&Call| {
                    is_author(&call) && call.effect && call.ended.is_some() && call.code.is_none()
                };
                let is_true = calls.iter().any(is_confirmed);
                is_true.then_some(()).ok_or("no reply confirmed it")
            }
            "not_linked" => {
                counts.not_linked += 1;
                (effects == 0).then_some(()).ok_or("it was linked")
            }
            _ => {
                counts.reply_lost += 1;
                let claims = self.claims.get(self.keys[row].as_str());
                let is_claimed_twice = claims.is_some_and(|claims| claims.len() > 1);
                let is_called_twice = calls.iter().filter(is_author).count() > 1;
                let has_reason = is_claimed_twice || is_called_twice;
                has_reason.then_some(()).ok_or("no reply was lost")
            }
        }
    }

    fn count_requests(&self, counts: &mut S3Counts) {
        for passage in &self.evidence.passages {
            *match passage.kind {
                Kind::Put => &mut counts.puts,
                Kind::Get => &mut counts.gets,
                Kind::List => &mut counts.lists,
                _ => &mut counts.other_requests,
            } += 1;
        }
        counts.segments += self.evidence.segments.len() as u64;
    }
}

/// The reason of a call for a link that another process has removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reason {
    /// The row was claimed and had no result when the caller took over.
    TakenOver,
    /// Its last outcome was `in_doubt`.
    Doubt,
    /// The caller was stalled and has been fenced, which it does not know yet.
    Stalled,
}
