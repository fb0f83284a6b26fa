//! One library in this session, from its file to installed functions.
//!
//! The steps are those of docs/how-it-works.md, "Load", each only after the one before. A library is found and its hash
//! compared (1, 2) before it comes here; its key (3) decides whether it is for this session at all. The others are made
//! whenever a package arrives that a function waits for: packages at their build ids (4), code mapped (5), objects found (6),
//! slots filled (7), edges checked (8), functions installed (9). A function whose objects are not all there, or whose edges do
//! not hold, stays out, with the reason.

use std::path::Path;
use std::time::Instant;

use nativecache_image::{FunctionId, Hash, Image, PackageId};
use nativecache_julia::kept::Kept;
use nativecache_julia::stopped::Stopped;

use crate::edges::check::{Session, Verifier};
use crate::edges::tables::MethodTables;
use crate::error::Rejected;
use crate::load::installer::Installer;
use crate::load::key;
use crate::load::library::LibraryFile;
use crate::load::loaded::{self, Loaded};
use crate::load::mapped::{EmptySlots, Mapped};
use crate::load::moment::Moment;
use crate::load::stage_times::Lap;
pub use crate::load::stage_times::Steps;
use crate::load::state::{Obstacle, Refusal, State};

/// A library that passed the checks of the whole, or why it did not.
pub struct Linked {
    pub(super) file: &'static LibraryFile,
    pub(super) image: Image<'static>,
    /// Its code, unless nothing of it can be used.
    pub(super) mapped: Option<Mapped>,
    /// What became of each function.
    pub(super) states: Vec<State>,
    pub(super) rejected: Option<Rejected>,
    /// Functions that verify mode found to differ from what would be compiled now.
    refused: Vec<FunctionId>,
    /// A code instance was made to point into its code, or to return a constant of it.
    in_use: bool,
    /// Packages that were not loaded when it was last tried.
    missing: Vec<PackageId>,
    /// Seconds spent on it so far.
    pub seconds: f64,
    /// Seconds of processor time spent on each step so far.
    pub steps: Steps,
}

impl Linked {
    /// Checks and links a library that was found at `start`. An error means that it is not for this session, or damaged.
    /// `verdict` is what verify mode says: functions that must not be used, or why none may.
    pub fn open(
        file: LibraryFile,
        start: Instant,
        moment: &Moment<'_>,
        session_key: &[(String, String)],
        verdict: Result<&[FunctionId], Rejected>,
    ) -> Result<Self, Rejected> {
        let (file, image) = for_session(file, session_key)?;
        let (refused, rejected) = match verdict {
            Ok(refused) => (refused.to_vec(), None),
            Err(unproved) => (Vec::new(), Some(unproved)),
        };
        let not_tried = State::Out(Refusal::NotTried.into());
        let mut linked = Linked {
            file,
            image,
            mapped: None,
            states: vec![not_tried; image.function_count() as usize],
            rejected,
            refused,
            in_use: false,
            missing: Vec::new(),
            seconds: 0.0,
            steps: Steps::default(),
        };
        linked.steps.check = start.elapsed().as_secs_f64();
        if linked.rejected.is_none() {
            linked.rejected = linked.advance(moment).err();
        }
        linked.seconds = start.elapsed().as_secs_f64();
        Ok(linked)
    }

    /// Why the whole library is not used at the moment.
    pub fn rejection(&self) -> Option<&Rejected> {
        self.rejected.as_ref()
    }

    /// Could another loaded package change anything?
    pub fn may_advance(&self) -> bool {
        let is_waiting = |state: &State| matches!(state, State::Out(Obstacle::Waiting(_)));
        self.rejected.is_none() && self.states.iter().any(is_waiting)
    }

    /// Tries again with the packages that are loaded now, if one has arrived that was missing.
    pub fn retry(&mut self, moment: &Moment<'_>) {
        if !self.may_advance() {
            return;
        }
        let start = Instant::now();
        let found = loaded::find_packages(&self.image, &moment.root_modules);
        let arrived = self.missing.iter().any(|id| !found.get(id.index()).is_some_and(Loaded::is_missing));
        if arrived {
            self.rejected = self.advance(moment).err();
            self.seconds += start.elapsed().as_secs_f64();
        }
    }

    /// Steps 4 to 9: those of `mapped` are 6 and 7.
    fn advance(&mut self, moment: &Moment<'_>) -> Result<(), Rejected> {
        let packages = self.find_packages(moment);
        let mut lap = Lap::start();
        let mut mapped = self.map_code()?;
        lap.add_to(&mut self.steps.map);
        let tables = mapped.method_tables(&self.image, moment);
        let around = match mapped.surroundings(&packages, &tables, moment) {
            Ok(around) => around,
            Err(missing) => {
                // Code of it may be in use.
                self.mapped = Some(mapped);
                return Err(missing.into());
            }
        };
        mapped.find_objects(&self.image, &around, moment);
        lap.add_to(&mut self.steps.resolve);
        let empty = mapped.fill_slots(&self.image, &around);
        lap.add_to(&mut self.steps.fill);
        self.check_and_install(&mapped, empty, moment, &tables, &mut lap);
        mapped.forget_beginnings();
        self.mapped = self.kept(mapped, moment);
        Ok(())
    }

    /// Step 4: where the packages of the library stand in this session.
    fn find_packages<'j>(&mut self, moment: &Moment<'j>) -> Vec<Loaded<'j>> {
        let packages = loaded::find_packages(&self.image, &moment.root_modules);
        self.missing = (0..self.image.package_count())
            .map(PackageId)
            .filter(|id| packages.get(id.index()).is_some_and(Loaded::is_missing))
            .collect();
        packages
    }

    /// Step 5: the library's code in this process.
    fn map_code(&mut self) -> Result<Mapped, Rejected> {
        match self.mapped.take() {
            Some(mapped) => Ok(mapped),
            None => Mapped::new(self.file, &self.image),
        }
    }

    /// Steps 8 and 9, each without generators first: Julia compiles them to ask them, with what they call, and all of that
    /// may be in the library.
    fn check_and_install<'j>(
        &mut self,
        mapped: &Mapped,
        empty: EmptySlots,
        moment: &Moment<'j>,
        tables: &MethodTables<'j>,
        lap: &mut Lap,
    ) {
        let mut installer = Installer::new(self.image, mapped, moment, empty);
        for ask_generators in [false, true] {
            let session = Session {
                moment,
                tables,
                sysimage: mapped.sysimage.as_ref(),
                missing: self.missing.first().copied(),
                ask_generators,
            };
            let mut verifier = Verifier::new(self.image, &mapped.resolver, session);
            let verdicts = verifier.functions(&self.refused);
            let unasked = verifier.has_unasked();
            lap.add_to(&mut self.steps.verify);
            // SAFETY: the verdicts are on this image, whose objects are those of `mapped`, in this moment.
            self.in_use |= unsafe { installer.pass(&verdicts, &mut self.states) };
            lap.add_to(&mut self.steps.install);
            if !unasked {
                break;
            }
        }
    }

    /// The mapped code, unless nothing of the library is in use and nothing can be: then it is unmapped. So is that
    /// of one whose methods the session has compiled, or has from another library.
    fn kept(&mut self, mapped: Mapped, moment: &Moment<'_>) -> Option<Mapped> {
        if self.may_advance() || self.in_use {
            return Some(mapped);
        }
        // SAFETY: no code instance was made to point into it, so nobody has called it or put its address into a slot.
        // Its objects are what was kept last, and nothing else needs them: what inference found lies in the code instances
        // themselves.
        unsafe {
            moment.let_go();
            mapped.code.close();
        }
        None
    }

    /// The file that it came from.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Size of the file.
    pub fn bytes(&self) -> u64 {
        self.file.bytes()
    }

    /// Which build it is.
    pub fn image_hash(&self) -> Hash {
        self.file.image_hash()
    }

    /// Does this address lie in the library's code?
    pub fn owns(&self, address: usize) -> bool {
        self.mapped.as_ref().is_some_and(|mapped| mapped.code.owns(address))
    }

    /// The method instance whose code is the last to begin at or before `address`.
    pub fn instance_at(&self, address: usize, julia: &Stopped) -> Option<Kept> {
        self.mapped.as_ref()?.instance_at(&self.image, address, julia)
    }
}

/// Step 3: the file and its tables, if they are well-formed and the key of the library is that of this session. The tables
/// are read in place for as long as the code is mapped, and that is for ever.
fn for_session(
    file: LibraryFile,
    session_key: &[(String, String)],
) -> Result<(&'static LibraryFile, Image<'static>), Rejected> {
    let file = Box::into_raw(Box::new(file));
    // SAFETY: nothing else refers to it, and it stays where it is unless the library is rejected below.
    let image = check_key(unsafe { &*file }, session_key).inspect_err(|_| {
        // SAFETY: the error holds texts of its own; with it, no reference to the file is left.
        drop(unsafe { Box::from_raw(file) });
    })?;
    // SAFETY: it stays.
    Ok((unsafe { &*file }, image))
}

fn check_key<'a>(file: &'a LibraryFile, session_key: &[(String, String)]) -> Result<Image<'a>, Rejected> {
    let image = file.image()?;
    let library_key = (0..image.key_count())
        .map(|index| image.key_component(index).map(|(name, value)| (name.to_owned(), value.to_owned())))
        .collect::<Result<Vec<_>, _>>()?;
    key::check(&library_key, session_key)?;
    Ok(image)
}
