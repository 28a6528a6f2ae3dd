//! Changes of the law by command: what lies over the policy file until it is taken back.
//!
//! Decides which of several commands holds when they come twice or out of order: each has a stamp, and what was said last about a
//! thing holds, whatever was heard last. A whole law that was pushed stands in the file's place. Knows no clock and no file.
//!
//! Invariants: the same set of commands gives the same changes in whatever order they come; a command that is refused changes
//! nothing; what these changes come to is a policy that its own file would give.

use super::read;
use super::{Law, Policy, PolicyError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use thiserror::Error;

/// Things that commands may have changed at once: with more, a file is the better place.
const CHANGES_MAX: usize = 10_000;
/// What was taken back is remembered for so long: no command is longer under way (a queue keeps its messages for 14 days).
const MEMORY_US: u64 = 15 * 24 * 3_600_000_000;

/// When a command was given, in microseconds since 1970, and its name: no two have both.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Stamp(pub u64, pub String);

/// What a command says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// The law of a domain, or without one the default; keys as in the policy file. `None`: as the file says.
    Law {
        /// A registered domain.
        domain: Option<String>,
        /// TOML of `hits`, `window`, `moderated`, `scale`.
        law: Option<String>,
    },
    /// Names onto the blacklist, and off it.
    Blacklist {
        /// Never asked from now on.
        add: Vec<String>,
        /// Asked again, also when the file lists them.
        remove: Vec<String>,
        /// As the file says.
        reset: Vec<String>,
    },
    /// A whole policy instead of the file and of every change before.
    Push {
        /// What it is called.
        file: String,
        /// TOML.
        toml: String,
    },
    /// Everything as the file says.
    Reset,
}

/// A command with its stamp.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// When it was given.
    pub at: Stamp,
    /// What it says.
    pub command: Command,
}

/// Why a command is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ChangeError {
    /// A law or a name is wrong.
    #[error("{}", told(.0))]
    Wrong(PolicyError),
    /// There are too many.
    #[error(
        "commands have changed {CHANGES_MAX} laws already: put them into a policy file and push that (weir throttle push FILE)"
    )]
    TooMany,
}

/// Without the place: it is in no file.
fn told(error: &PolicyError) -> String {
    let key = if error.key.is_empty() { String::new() } else { format!("{}: ", error.key) };
    let hint = error.hint.as_ref().map_or_else(String::new, |hint| format!("; {hint}"));
    format!("{key}{}{hint}", error.message)
}

/// What was said last about a thing; `None`: as the file says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Said<T> {
    at: Stamp,
    value: Option<T>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Pushed {
    file: String,
    toml: String,
}

/// The changes that hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Changes {
    /// Of the last push or reset: what was said before is void.
    floor: Stamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pushed: Option<Pushed>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    default: Option<Said<String>>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    domains: BTreeMap<Box<str>, Said<String>>,
    /// True: blacklisted; false: not, whatever the file says.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    blacklist: BTreeMap<Box<str>, Said<bool>>,
}

/// Of two the one that was said last.
fn later<T>(old: Option<Said<T>>, at: &Stamp, value: Option<T>) -> Said<T> {
    match old {
        Some(old) if old.at >= *at => old,
        _ => Said { at: at.clone(), value },
    }
}

impl Changes {
    /// Takes a command. False: it changes nothing, since it was heard before or something later was said.
    ///
    /// # Errors
    /// What is wrong with it; nothing is changed then.
    pub fn apply(&mut self, change: &Change) -> Result<bool, ChangeError> {
        let Change { at, command } = change;
        let mut next = self.clone();
        match command {
            _ if *at <= self.floor => return Ok(false),
            Command::Push { file, toml } => {
                Policy::parse(toml, file).map_err(ChangeError::Wrong)?;
                next.begin_anew(at, Some(Pushed { file: file.clone(), toml: toml.clone() }));
            }
            Command::Reset => next.begin_anew(at, None),
            Command::Law { domain, law } => {
                if let Some(law) = law {
                    let name = domain.as_deref().unwrap_or("default");
                    read::law(law, name, Law::DEFAULT).map_err(ChangeError::Wrong)?;
                }
                match domain {
                    None => next.default = Some(later(next.default.take(), at, law.clone())),
                    Some(domain) => {
                        let domain = read::domain(domain).map_err(ChangeError::Wrong)?;
                        let said = later(next.domains.remove(&domain), at, law.clone());
                        next.domains.insert(domain, said);
                    }
                }
            }
            Command::Blacklist { add, remove, reset } => {
                let said = [(add, Some(true)), (remove, Some(false)), (reset, None)];
                let names = said.into_iter().flat_map(|(names, value)| names.iter().map(move |name| (name, value)));
                for (name, value) in names {
                    let name = read::name(name).map_err(ChangeError::Wrong)?;
                    let said = later(next.blacklist.remove(&name), at, value);
                    next.blacklist.insert(name, said);
                }
            }
        }
        next.forget(at.0);
        if next.domains.len() + next.blacklist.len() > CHANGES_MAX {
            return Err(ChangeError::TooMany);
        }
        let changed = next != *self;
        *self = next;
        Ok(changed)
    }

    /// What another stage has heard, put together with this: of everything what was said last.
    pub fn merge(&mut self, other: Changes) {
        fn put<T>(mine: &mut BTreeMap<Box<str>, Said<T>>, theirs: BTreeMap<Box<str>, Said<T>>, floor: &Stamp) {
            for (name, said) in theirs.into_iter().filter(|(_, said)| said.at > *floor) {
                let said = later(mine.remove(&name), &said.at, said.value);
                mine.insert(name, said);
            }
        }
        if other.floor > self.floor {
            self.begin_anew(&other.floor, other.pushed);
        }
        if let Some(said) = other.default.filter(|said| said.at > self.floor) {
            self.default = Some(later(self.default.take(), &said.at, said.value));
        }
        put(&mut self.domains, other.domains, &self.floor);
        put(&mut self.blacklist, other.blacklist, &self.floor);
    }

    /// From a push or reset on only what is said later counts.
    fn begin_anew(&mut self, at: &Stamp, pushed: Option<Pushed>) {
        self.floor = at.clone();
        self.pushed = pushed;
        self.default.take_if(|said| said.at <= *at);
        self.domains.retain(|_, said| said.at > *at);
        self.blacklist.retain(|_, said| said.at > *at);
    }

    /// What was taken back long ago.
    fn forget(&mut self, now_us: u64) {
        let since = now_us.saturating_sub(MEMORY_US);
        self.default.take_if(|said| said.value.is_none() && said.at.0 < since);
        self.domains.retain(|_, said| said.value.is_some() || said.at.0 >= since);
        self.blacklist.retain(|_, said| said.value.is_some() || said.at.0 >= since);
    }

    /// The pushed policy, or the file's.
    fn base(&self, file: &Policy) -> Result<Policy, ChangeError> {
        match &self.pushed {
            Some(pushed) => Policy::parse(&pushed.toml, &pushed.file).map_err(ChangeError::Wrong),
            None => Ok(file.clone()),
        }
    }

    /// The policy in force over that of the file.
    ///
    /// # Errors
    /// When these changes come from another version of weir, whose laws this one cannot read.
    pub fn over(&self, file: &Policy) -> Result<Policy, ChangeError> {
        let mut policy = self.base(file)?;
        let law = |text: &String, name: &str, base| read::law(text, name, base).map_err(ChangeError::Wrong);
        if let Some(text) = self.default.as_ref().and_then(|said| said.value.as_ref()) {
            policy.default = Some(law(text, "default", policy.default.unwrap_or(policy.profile.law()))?);
        }
        let base = policy.default.unwrap_or(policy.profile.law());
        for (name, said) in &self.domains {
            if let Some(text) = &said.value {
                policy.domains.insert(name.clone(), law(text, name, base)?);
            }
        }
        for (name, said) in &self.blacklist {
            match said.value {
                Some(true) => {
                    policy.blacklist.insert(name.clone());
                }
                Some(false) => {
                    policy.blacklist.remove(name);
                }
                None => {}
            }
        }
        Ok(policy)
    }

    /// What the pushed policy is called.
    #[must_use]
    pub fn pushed(&self) -> Option<&str> {
        self.pushed.as_ref().map(|pushed| pushed.file.as_str())
    }

    /// The default law as a command gave it.
    #[must_use]
    pub fn default_law(&self) -> Option<&str> {
        self.default.as_ref().and_then(|said| said.value.as_deref())
    }

    /// Domains whose law a command gave, with it.
    pub fn domains(&self) -> impl Iterator<Item = (&str, &str)> {
        self.domains.iter().filter_map(|(name, said)| Some((&**name, said.value.as_deref()?)))
    }

    /// Names that commands put onto the blacklist (true) or took off it.
    pub fn blacklist(&self) -> impl Iterator<Item = (&str, bool)> {
        self.blacklist.iter().filter_map(|(name, said)| Some((&**name, said.value?)))
    }

    /// Nothing lies over the file.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pushed.is_none()
            && self.default_law().is_none()
            && self.domains().next().is_none()
            && self.blacklist().next().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::LawBook;
    use proptest::prelude::*;

    fn law(domain: Option<&str>, law: Option<&str>) -> Command {
        Command::Law { domain: domain.map(str::to_owned), law: law.map(str::to_owned) }
    }

    fn names(add: &[&str], remove: &[&str]) -> Command {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Command::Blacklist { add: owned(add), remove: owned(remove), reset: Vec::new() }
    }

    fn file() -> Policy {
        let text = "blacklist = [\"bad.com\"]\n[default]\nhits = 10\nwindow = \"60s\"\n[domains.\"a.com\"]\nhits = 30";
        Policy::parse(text, "law.toml").expect("a policy")
    }

    fn given(commands: &[Command]) -> Changes {
        let mut changes = Changes::default();
        for (at, command) in commands.iter().enumerate() {
            let change = Change { at: Stamp(at as u64 + 1, "c".into()), command: command.clone() };
            changes.apply(&change).expect("right");
        }
        changes
    }

    fn hits(policy: &Policy, domain: &str) -> u32 {
        LawBook::limits(policy, domain).expect("a law").hits
    }

    #[test]
    fn a_command_lies_over_the_file_until_it_is_taken_back() {
        let set = [
            law(Some("a.com"), Some("hits = 3\nwindow = \"1s\"")),
            law(Some("new.org"), Some("hits = 40\nscale = 0.5")),
            law(None, Some("hits = 7\nwindow = \"60s\"")),
            names(&["worse.com"], &["bad.com"]),
        ];
        let policy = given(&set).over(&file()).expect("a policy");
        assert_eq!((hits(&policy, "a.com"), hits(&policy, "new.org"), hits(&policy, "b.com")), (3, 20, 7));
        assert!(policy.is_blacklisted("www.worse.com") && !policy.is_blacklisted("bad.com"));
        let reset = Command::Blacklist { add: vec![], remove: vec![], reset: vec!["bad.com".into()] };
        let back = [law(Some("a.com"), None), law(None, None), names(&[], &["worse.com"]), reset];
        let policy = given(&[&set[..], &back[..]].concat()).over(&file()).expect("a policy");
        assert_eq!((hits(&policy, "a.com"), hits(&policy, "new.org"), hits(&policy, "b.com")), (30, 20, 10));
        assert!(!policy.is_blacklisted("worse.com") && policy.is_blacklisted("bad.com"));
        let all = [&set[..], &[Command::Reset]].concat();
        assert!(given(&all).is_empty());
        assert_eq!(given(&all).over(&file()), Ok(file()));
    }

    #[test]
    fn stages_that_heard_different_commands_come_to_the_same_whoever_takes_in_the_other() {
        let push = Command::Push { file: "new.toml".into(), toml: "[default]\nhits = 5\nwindow = \"1s\"".into() };
        let all = [
            law(Some("a.com"), Some("hits = 3\nwindow = \"1s\"")),
            push,
            law(Some("a.com"), Some("hits = 4\nwindow = \"1s\"")),
            names(&["worse.com"], &[]),
            law(None, Some("hits = 7\nwindow = \"60s\"")),
            names(&[], &["worse.com"]),
        ];
        // Each command came to the one, to the other, or to both.
        for heard in 0..3_u32.pow(all.len() as u32) {
            let of = |who: u32| {
                let mut changes = Changes::default();
                for (at, command) in all.iter().enumerate() {
                    if (heard / 3_u32.pow(at as u32)) % 3 != who {
                        let at = Stamp(at as u64 + 1, "c".into());
                        changes.apply(&Change { at, command: command.clone() }).expect("right");
                    }
                }
                changes
            };
            let (mut one, mut two) = (of(0), of(1));
            two.merge(one.clone());
            one.merge(of(1));
            assert_eq!((&one, &two), (&given(&all), &given(&all)), "{heard}");
        }
    }

    #[test]
    fn a_pushed_policy_stands_in_the_place_of_the_file_and_of_all_changes_before() {
        let push = Command::Push { file: "new.toml".into(), toml: "[default]\nhits = 5\nwindow = \"1s\"".into() };
        let before = law(Some("a.com"), Some("hits = 3"));
        let after = law(Some("b.com"), Some("hits = 4"));
        let changes = given(&[before, push, after]);
        assert_eq!(changes.pushed(), Some("new.toml"));
        let policy = changes.over(&file()).expect("a policy");
        assert_eq!((hits(&policy, "a.com"), hits(&policy, "b.com")), (5, 4));
        assert!(!policy.is_blacklisted("bad.com"));
    }

    #[test]
    fn what_is_wrong_is_told_and_changes_nothing() {
        let mut changes = given(&[law(Some("a.com"), Some("hits = 3"))]);
        let before = changes.clone();
        for (command, told) in [
            (
                law(Some("a.com"), Some("hits = 0")),
                "a.com.hits: expected a whole number of at least 1, found 0; to stop",
            ),
            (law(None, Some("window = 60")), "write \"60s\" for seconds"),
            (law(Some("www.a.com"), Some("hits = 1")), "write a.com"),
            (names(&["https://a.com/x"], &[]), "a name, not a URL"),
            (names(&["b.com", "*.c.com"], &[]), "names under it are covered anyway"),
            (Command::Push { file: "f".into(), toml: "hits = 3".into() }, "unknown key"),
        ] {
            let change = Change { at: Stamp(9, "c".into()), command };
            let error = changes.apply(&change).expect_err("refused").to_string();
            assert!(error.contains(told), "{told:?} in {error}");
            assert_eq!(changes, before);
        }
    }

    fn any_command() -> impl Strategy<Value = Command> {
        let domain = || prop::option::of(prop::sample::select(vec!["a.com", "b.com"]));
        prop_oneof![
            6 => (domain(), prop::option::of(1u32..9)).prop_map(|(domain, hits)| {
                law(domain, hits.map(|hits| format!("hits = {hits}")).as_deref())
            }),
            4 => (any::<bool>(), prop::sample::select(vec!["bad.com", "c.com"])).prop_map(|(add, name)| {
                if add { names(&[name], &[]) } else { names(&[], &[name]) }
            }),
            1 => (1u32..9).prop_map(|hits| Command::Push {
                file: "f.toml".into(),
                toml: format!("blacklist = [\"c.com\"]\n[default]\nhits = {hits}"),
            }),
            1 => Just(Command::Reset),
        ]
    }

    proptest! {
        #[test]
        fn commands_that_come_twice_or_out_of_order_give_the_same_law(
            commands in prop::collection::vec(any_command(), 1..8),
            order in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        ) {
            let change = |at: usize| Change { at: Stamp(at as u64 + 1, "c".into()), command: commands[at].clone() };
            let in_order = given(&commands);
            let mut changes = Changes::default();
            let heard = order.iter().map(|at| at.index(commands.len())).chain((0..commands.len()).rev());
            for at in heard {
                changes.apply(&change(at)).expect("right");
            }
            prop_assert_eq!(&changes, &in_order);
            let text = serde_json::to_string(&changes).expect("JSON");
            prop_assert_eq!(serde_json::from_str::<Changes>(&text).expect("JSON"), changes.clone());
            for at in 0..commands.len() {
                prop_assert_eq!(changes.apply(&change(at)), Ok(false));
            }
        }
    }
}
