//! The code of a library in this process, and the objects that it refers to.

use std::ffi::CString;
use std::sync::OnceLock;

use nativecache_image::{Image, Invoke, SlotId};
use nativecache_julia::kept::Kept;
use nativecache_julia::stopped::Stopped;
use nativecache_julia::sysimage::Sysimage;
use nativecache_mutation::mutation;

use crate::edges::tables::MethodTables;
use crate::edges::untouched;
use crate::error::Rejected;
use crate::load::library::{Code, LibraryFile};
use crate::load::loaded::Loaded;
use crate::load::moment::Moment;
use crate::objects::resolve::{Missing, Resolver, Surroundings, Trouble};

/// Mapped code with its slots, and the objects of this session that the tables describe.
pub(crate) struct Mapped {
    /// The code, and its table of slots.
    pub(crate) code: Code,
    /// The sysimage, unless it has no native code.
    pub(crate) sysimage: Option<Sysimage>,
    /// The objects that have been found.
    pub(crate) resolver: Resolver,
    /// Which slots have what belongs there.
    filled: Vec<bool>,
    /// What slots of C strings point to.
    strings: Vec<CString>,
    beginnings: Beginnings,
}

/// Where code begins, ascending, and the method instance that it is of; sorted when a frame is looked up for the first
/// time.
#[derive(Default)]
struct Beginnings(OnceLock<Vec<(usize, Kept)>>);

/// Why slots are empty, by their numbers.
pub(crate) struct EmptySlots(Vec<Option<Trouble>>);

impl EmptySlots {
    /// Why the first of these slots that is empty is so.
    pub(crate) fn first_of(&self, mut slots: impl Iterator<Item = SlotId>) -> Option<&Trouble> {
        slots.find_map(|slot| self.0.get(slot.index())?.as_ref())
    }
}

impl Mapped {
    /// Step 5: maps the code of a library; no slot is filled.
    pub(crate) fn new(file: &LibraryFile, image: &Image<'_>) -> Result<Self, Rejected> {
        let sysimage = Sysimage::current();
        Ok(Mapped {
            code: file.load()?,
            resolver: Resolver::new(image, sysimage.as_ref()),
            sysimage,
            filled: vec![false; image.slot_count() as usize],
            strings: Vec::new(),
            beginnings: Beginnings::default(),
        })
    }

    /// The method tables of this session, which may be known to be those of the build.
    pub(crate) fn method_tables<'j>(&self, image: &Image<'_>, moment: &Moment<'j>) -> MethodTables<'j> {
        let as_at_build = self.sysimage.as_ref().is_some_and(|sysimage| {
            untouched::holds(image, &moment.root_modules, sysimage, self.resolver.origins(), moment.world)
        });
        let sysimage = self.sysimage.as_ref().map_or(0..0, |sysimage| sysimage.data.clone());
        MethodTables::new(sysimage, moment.world, as_at_build)
    }

    /// What objects are looked for in.
    pub(crate) fn surroundings<'a, 'j>(
        &self,
        packages: &'a [Loaded<'j>],
        tables: &'a MethodTables<'j>,
        moment: &Moment<'j>,
    ) -> Result<Surroundings<'a, 'j>, Missing> {
        self.resolver.surroundings(moment.julia, packages, moment.world, tables)
    }

    /// Step 6: finds the objects of the tables that have not been found yet, and has Julia keep all of them.
    pub(crate) fn find_objects<'j>(
        &mut self,
        image: &Image<'_>,
        around: &Surroundings<'_, 'j>,
        moment: &Moment<'j>,
    ) {
        // SAFETY: they are kept before the collector runs again, and let go only with the code.
        unsafe { self.resolver.run(image, around) };
        let found = self.resolver.rooted(moment.julia);
        mutation!("roots: what slots hold is not kept", moment.keep(found.object()), ());
    }

    /// Step 7: fills the slots that are empty; why those stay empty whose object was not found.
    pub(crate) fn fill_slots(&mut self, image: &Image<'_>, around: &Surroundings<'_, '_>) -> EmptySlots {
        let mut troubles = vec![None; self.filled.len()];
        let empty = (0u32..).zip(&mut self.filled).zip(&mut troubles).filter(|((_, filled), _)| !**filled);
        for ((index, filled), trouble) in empty {
            match self.resolver.slot(image, around, SlotId(index), &mut self.strings) {
                Ok(pointer) => {
                    // SAFETY: the index is below the slot count, and no function that uses an unfilled slot is installed.
                    unsafe { self.code.fill(index, pointer) };
                    *filled = true;
                }
                Err(found) => *trouble = Some(found),
            }
        }
        EmptySlots(troubles)
    }

    /// The address of a function's code.
    pub(crate) fn address(&self, code: nativecache_image::CodeIndex) -> usize {
        // SAFETY: code indices were checked against the count when the image was parsed.
        unsafe { self.code.function(code.0) }
    }

    /// Forgets where code begins: more method instances may be known now.
    pub(crate) fn forget_beginnings(&mut self) {
        self.beginnings = Beginnings::default();
    }

    /// The method instance whose code, installed or not, is the last to begin at or before `address`: other code of the
    /// library may call it directly.
    pub(crate) fn instance_at(&self, image: &Image<'_>, address: usize, julia: &Stopped) -> Option<Kept> {
        let beginnings = self.beginnings.0.get_or_init(|| self.sorted_beginnings(image, julia));
        let after = beginnings.partition_point(|(start, _)| *start <= address);
        beginnings.get(after.checked_sub(1)?).map(|(_, instance)| *instance)
    }

    fn sorted_beginnings(&self, image: &Image<'_>, julia: &Stopped) -> Vec<(usize, Kept)> {
        let mut beginnings = Vec::new();
        for (_, function) in image.functions() {
            let Ok(instance) = self.resolver.instance(julia, function.method_instance) else { continue };
            let wrapper = match function.invoke {
                Invoke::Wrapper(code) => Some(code),
                _ => None,
            };
            // SAFETY: the objects of the tables are rooted as long as their code is mapped.
            let kept = unsafe { Kept::new(instance) };
            beginnings.extend(
                [function.spec, wrapper].into_iter().flatten().map(|code| (self.address(code), kept)),
            );
        }
        beginnings.sort_unstable();
        beginnings
    }
}
