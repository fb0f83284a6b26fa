//! Where what a session has compiled belongs: into the profile of the first package that was asked for and that loads all
//! that an entry needs, or of several together. Done here and not in Julia, since all code that runs at the end of each
//! session would have to be loaded at the start of each.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::path::PathBuf;

use nativecache_store::fields::{escape, fields, lines};
use nativecache_store::profile::update::{self, Updated};
use nativecache_store::settings::{Auto, Settings};
use nativecache_store::{Limits, Mode, Profile};

use crate::idle::{self, Skipped, Used};
use crate::trace::Trace;

/// A package of the session, by its folder in the store.
struct Package {
    folder: String,
    name: String,
    uuid: String,
}

/// A companion that the session has loaded: what it has spared the session counts as needed.
struct Loaded {
    folders: Vec<String>,
    statements: Vec<String>,
    /// What it was to hold and does not.
    left_out: Vec<String>,
}

impl Loaded {
    /// `text` is its `.companion` file.
    fn parse(folders: &[String], text: &str) -> Self {
        let (mut statements, mut left_out) = (Vec::new(), Vec::new());
        for line in lines(text) {
            if let ["statement", outcome, statement, ..] =
                fields(line).iter().map(String::as_str).collect::<Vec<_>>()[..]
            {
                let list = if matches!(outcome, "compiled" | "AlreadyNative") {
                    &mut statements
                } else {
                    &mut left_out
                };
                list.push(statement.to_owned());
            }
        }
        let mut folders = folders.to_vec();
        folders.sort_unstable();
        Loaded { folders, statements, left_out }
    }
}

/// What the Julia side says of the session, in lines of fields; see `facts` of src/companion/trace.jl.
#[derive(Default)]
pub(crate) struct Facts {
    packages: Vec<Package>,
    /// Packages in the order in which they were asked for.
    asked: Vec<String>,
    /// Packages that were there before that order was looked at, and that projects name.
    named: Vec<String>,
    /// What each package that may be asked for has loaded before itself.
    loads: BTreeMap<String, HashSet<String>>,
    /// Which packages bring each extension about.
    extensions: BTreeMap<String, Vec<String>>,
    /// Companions that the session has loaded.
    loaded: Vec<Loaded>,
    /// The same ones, as files.
    used: Vec<Used>,
    /// Companions that sessions of this project do not run.
    skipped: Vec<Skipped>,
    /// Where it is written down which these are, if it is to be.
    record: Option<PathBuf>,
    /// Statements that are not wanted.
    without: HashSet<String>,
    /// Statements of the first package asked for, whatever was found of them.
    also: Vec<String>,
    depots: Vec<PathBuf>,
    project: Option<PathBuf>,
    root: PathBuf,
    layer: String,
    /// What the layer is from: sessions, or what was run to find out.
    from: String,
    when: String,
    julia: String,
    mode: String,
}

impl Facts {
    pub(crate) fn parse(text: &str) -> Self {
        let mut facts = Facts::default();
        for line in lines(text) {
            let words = fields(line);
            let Some((kind, rest)) = words.split_first() else { continue };
            let first = rest.first().cloned().unwrap_or_default();
            match (kind.as_str(), rest) {
                ("package", [folder, name, uuid]) => facts.packages.push(Package {
                    folder: folder.clone(),
                    name: name.clone(),
                    uuid: uuid.clone(),
                }),
                ("asked", _) => facts.asked.push(first),
                ("named", _) => facts.named.push(first),
                ("loads", [folder, loads @ ..]) => {
                    facts.loads.insert(folder.clone(), loads.iter().cloned().collect());
                }
                ("extension", [folder, parents @ ..]) => {
                    facts.extensions.insert(folder.clone(), parents.to_vec());
                }
                ("loaded", [text, folders @ ..]) => facts.loaded.push(Loaded::parse(folders, text)),
                ("used", [name, image]) => {
                    facts.used.push(Used { name: name.clone(), image: image.into() });
                }
                ("skipped", [name, text, folders @ ..]) => {
                    let Loaded { folders, statements, left_out } = Loaded::parse(folders, text);
                    facts.skipped.push(Skipped {
                        name: name.clone(),
                        held: statements.into_iter().collect(),
                        left_out: left_out.into_iter().collect(),
                        folders,
                    });
                }
                ("record", _) => facts.record = Some(first.into()),
                ("without", _) => {
                    facts.without.insert(first);
                }
                ("also", _) => facts.also.push(first),
                ("depot", _) => facts.depots.push(first.into()),
                ("project", _) if !first.is_empty() => facts.project = Some(first.into()),
                ("root", _) => facts.root = first.into(),
                ("layer", _) => facts.layer = first,
                ("from", _) => facts.from = first,
                ("when", _) => facts.when = first,
                ("julia", _) => facts.julia = first,
                ("mode", _) => facts.mode = first,
                _ => {}
            }
        }
        facts
    }

    /// At the end of a session: may it be traced?
    pub(crate) fn settings(&self) -> Settings {
        Settings::read(self.project.as_deref(), &self.depots)
    }

    pub(crate) fn is_ending(&self) -> bool {
        self.mode == "end"
    }

    /// Is only asked what there is?
    pub(crate) fn is_list(&self) -> bool {
        self.mode == "list"
    }

    /// The packages that entries may belong to, in order.
    fn members(&self) -> Vec<&str> {
        let here: HashSet<&str> = self.packages.iter().map(|package| package.folder.as_str()).collect();
        let mut named: Vec<&str> = self.named.iter().map(String::as_str).collect();
        named.sort_unstable();
        let mut seen = HashSet::new();
        let members: Vec<&str> = self
            .asked
            .iter()
            .map(String::as_str)
            .chain(named)
            .filter(|folder| !self.extensions.contains_key(*folder))
            .filter(|folder| here.contains(folder) && seen.insert(*folder))
            .collect();
        if members.is_empty() {
            return self
                .packages
                .iter()
                .map(|package| package.folder.as_str())
                .filter(|folder| !self.extensions.contains_key(*folder))
                .collect();
        }
        members
    }

    fn brings(&self, member: &str, needed: &str) -> bool {
        member == needed || self.loads.get(member).is_some_and(|loads| loads.contains(needed))
    }

    /// The smallest set of packages, of those asked for, that loads what an entry needs: one if there is such a one.
    fn place<'a>(&self, needed: &[&str], members: &[&'a str]) -> Vec<&'a str> {
        if needed.is_empty() {
            return members.last().copied().into_iter().collect();
        }
        if let Some(member) =
            members.iter().find(|member| needed.iter().all(|needed| self.brings(member, needed)))
        {
            return vec![*member];
        }
        let mut left = needed.to_vec();
        let mut chosen = Vec::new();
        for member in members {
            let before = left.len();
            left.retain(|needed| !self.brings(member, needed));
            if left.len() < before {
                chosen.push(*member);
            }
        }
        // What nobody brings was loaded by a package that is not among them: an extension, say, that all of them bring
        // about.
        if chosen.is_empty() {
            chosen.extend(members.first());
        }
        chosen.sort_unstable();
        chosen
    }

    /// What an entry needs, with those that bring an extension about in its place.
    fn needed(&self, numbers: &[u32]) -> Vec<&str> {
        let mut needed: Vec<&str> = Vec::new();
        for number in numbers {
            let Some(package) = self.packages.get(*number as usize) else { continue };
            match self.extensions.get(&package.folder) {
                Some(parents) => needed.extend(parents.iter().map(String::as_str)),
                None => needed.push(&package.folder),
            }
        }
        let mut seen = HashSet::new();
        needed.retain(|folder| seen.insert(*folder));
        needed
    }

    /// The profile of these statements, as text.
    fn profile(&self, place: &[&str], statements: &[&str]) -> String {
        let mut text = String::from("# NativeCache profile\n");
        for package in self.packages.iter().filter(|package| place.contains(&package.folder.as_str())) {
            let _ = writeln!(text, "# package: {} {}", escape(&package.name), package.uuid);
        }
        for (name, value) in
            [("layer", &self.layer), ("from", &self.from), ("when", &self.when), ("julia", &self.julia)]
        {
            let _ = writeln!(text, "# {name}: {}", escape(value));
        }
        for statement in statements {
            let _ = writeln!(text, "precompile({statement})");
        }
        text
    }
}

/// Merges what was traced into profiles: a line for each, `profile`, names, methods, new ones, folders. The second is
/// whether the session wants companions built for it.
///
/// # Errors
/// If a profile cannot be written.
pub(crate) fn learn(
    facts: &Facts,
    trace: &Trace,
    settings: &Settings,
) -> Result<(Vec<String>, bool), Box<dyn std::error::Error>> {
    let members = facts.members();
    let mut groups: BTreeMap<Vec<&str>, Vec<&str>> = BTreeMap::new();
    for entry in &trace.entries {
        if facts.without.contains(&entry.statement) || facts.also.contains(&entry.statement) {
            continue;
        }
        let place = facts.place(&facts.needed(&entry.packages), &members);
        if !place.is_empty() {
            groups.entry(place).or_default().push(&entry.statement);
        }
    }
    let missed: Vec<&str> = facts
        .skipped
        .iter()
        .filter(|skipped| groups.iter().any(|(place, statements)| skipped.is_missed(place, statements)))
        .map(|skipped| skipped.name.as_str())
        .collect();
    if let (Some(record), Some(project)) = (&facts.record, &facts.project) {
        // What is not written down costs sessions a moment, and nothing else.
        let _ = idle::note(record, project, &facts.used, &missed);
    }
    if let Some(focus) = facts.asked.first() {
        groups.entry(vec![focus]).or_default().extend(facts.also.iter().map(String::as_str));
    }
    for loaded in &facts.loaded {
        let place = loaded.folders.iter().map(String::as_str).collect();
        let group = groups.entry(place).or_default();
        let known: HashSet<&str> = group.iter().copied().collect();
        group.extend(loaded.statements.iter().map(String::as_str).filter(|text| !known.contains(text)));
    }
    groups.retain(|_, statements| !statements.is_empty());
    let (mode, limits) = if facts.mode == "replace" {
        (Mode::Replace, Limits { methods: 0, sessions: 0 })
    } else {
        (Mode::Add, settings.limits)
    };
    let mut lines = Vec::new();
    let mut learnt = false;
    for (place, statements) in groups {
        let profile = Profile::parse(&facts.profile(&place, &statements));
        let folder = facts.root.join(profile_folder(&place));
        let (methods, new) = match update::update(&folder, &facts.layer, &profile, mode, limits)? {
            Updated::Merged { methods, new } => (methods, new),
            Updated::Pending => (0, 0),
        };
        learnt |= new > 0;
        let names: Vec<&str> = place
            .iter()
            .filter_map(|folder| facts.packages.iter().find(|package| package.folder == **folder))
            .map(|package| package.name.as_str())
            .collect();
        lines.push(format!("profile\t{}\t{methods}\t{new}\t{}", escape(&names.join("+")), place.join("\t")));
    }
    Ok((lines, learnt && matches!(settings.auto, Auto::Background | Auto::Now)))
}

/// A folder name may have 255 bytes; layers add to none.
const LONGEST_FOLDER: usize = 240;

/// As `profile_folder` of src/store/profiles.jl.
fn profile_folder(place: &[&str]) -> String {
    let name = place.join("+");
    if name.len() <= LONGEST_FOLDER {
        return name;
    }
    // FNV-1a of 128 bits.
    let sum = name.bytes().fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d_u128, |sum, byte| {
        (sum ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b)
    });
    format!("set-{sum:032x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(lines: &[&str]) -> Facts {
        Facts::parse(&lines.join("\n"))
    }

    #[test]
    fn an_entry_belongs_to_the_first_package_asked_for_that_loads_all_it_needs() {
        let facts = facts(&[
            "package\tA-1\tA\t1",
            "package\tB-2\tB\t2",
            "package\tC-3\tC\t3",
            "asked\tB-2",
            "asked\tC-3",
            "asked\tGone-9",
            "loads\tB-2\tA-1",
        ]);
        let members = facts.members();
        assert_eq!(members, ["B-2", "C-3"]);
        assert_eq!(facts.place(&["A-1"], &members), ["B-2"]);
        assert_eq!(facts.place(&["C-3", "A-1"], &members), ["B-2", "C-3"]);
        assert_eq!(facts.place(&[], &members), ["C-3"]);
        assert_eq!(facts.place(&["X-7"], &members), ["B-2"]);
    }

    #[test]
    fn where_nobody_asked_projects_say_and_else_all_count() {
        let some = facts(&["package\tA-1\tA\t1", "package\tB-2\tB\t2", "named\tB-2", "named\tA-1"]);
        assert_eq!(some.members(), ["A-1", "B-2"]);
        assert_eq!(facts(&["package\tB-2\tB\t2", "package\tA-1\tA\t1"]).members(), ["B-2", "A-1"]);
        let with_extension =
            facts(&["package\tE-1\tE\t1", "package\tB-2\tB\t2", "extension\tE-1\tB-2", "asked\tE-1"]);
        assert_eq!(with_extension.members(), ["B-2"]);
    }

    #[test]
    fn an_extension_stands_for_those_that_bring_it_about() {
        let facts = facts(&["package\tE-1\tE\t1", "package\tB-2\tB\t2", "extension\tE-1\tB-2\tC-3"]);
        assert_eq!(facts.needed(&[0, 1]), ["B-2", "C-3"]);
    }

    #[test]
    fn what_a_companion_has_spared_the_session_is_known() {
        let text = "statement\\tcompiled\\tTuple{A}\\t\\nstatement\\tNoSuchMethod\\tTuple{B}\\t";
        let facts = facts(&[&format!("loaded\t{text}\tY-2\tX-1")]);
        assert_eq!(facts.loaded[0].folders, ["X-1", "Y-2"]);
        assert_eq!(facts.loaded[0].statements, ["Tuple{A}"]);
    }

    #[test]
    fn long_names_of_folders_are_hashed() {
        assert_eq!(profile_folder(&["A-1", "B-2"]), "A-1+B-2");
        let long = "x".repeat(300);
        assert_eq!(profile_folder(&[&long]).len(), 36);
    }
}
