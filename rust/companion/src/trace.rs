//! What this session has compiled: the signatures for which dispatch had to wait for the compiler.
//!
//! Julia sets `precompile` in a code instance that it has compiled because of a call, whether the session traces or not
//! (`jl_compile_method_internal`, gf.c). Code instances of an image are in the image, or are marked in their flags.

use std::collections::HashMap;

use jl_sys::types::{jl_array_t, jl_value_t};

use crate::error::TraceError;
use crate::images::Images;
use crate::layout::{Field, Kind, Layout};
use crate::methods;
use crate::object::{Module, Object};
use crate::statement::Printer;
use crate::stopped::Stopped;

/// Bit of `specsigflags`: the code came from an image.
const FROM_IMAGE: u8 = 0b100;

/// The origin of a root module, as the Julia side gives it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Home {
    /// The sysimage: every session has it.
    Everywhere,
    /// A package, by its number.
    Package(u32),
    /// `Main`, or a module that no other session has.
    Nowhere,
    /// NativeCache itself or a companion.
    Ours,
}

/// A method to keep.
pub(crate) struct Entry {
    pub(crate) statement: String,
    /// Numbers of the packages that its types and its method need.
    pub(crate) packages: Vec<u32>,
}

/// The result of a trace.
#[derive(Default)]
pub(crate) struct Trace {
    /// The number of code instances that were examined.
    pub(crate) looked: usize,
    /// The number of signatures that this session compiled.
    pub(crate) compiled: usize,
    pub(crate) entries: Vec<Entry>,
    /// How many were left out because they refer to `Main` or to something that no other session has.
    pub(crate) nowhere: usize,
    /// How many were left out because they cannot be written as text.
    pub(crate) unprintable: usize,
}

/// The modules of this session with their origins.
struct Homes<'s> {
    roots: HashMap<usize, Home>,
    known: HashMap<usize, Home>,
    life: std::marker::PhantomData<&'s Stopped>,
}

impl<'s> Homes<'s> {
    fn of(&mut self, module: Module<'s>) -> Home {
        if let Some(home) = self.known.get(&module.address()) {
            return *home;
        }
        let home = self.roots.get(&module.root().address()).copied().unwrap_or(Home::Nowhere);
        // Before Julia 1.13, Base is a child of Main in parts of the bootstrap. It is listed separately.
        let home = if home == Home::Nowhere { self.nearest(module) } else { home };
        self.known.insert(module.address(), home);
        home
    }

    /// The first listed module above this one.
    fn nearest(&self, module: Module<'s>) -> Home {
        let mut at = module;
        loop {
            if let Some(home) = self.roots.get(&at.address()) {
                return *home;
            }
            let parent = at.parent();
            if parent.address() == at.address() {
                return Home::Nowhere;
            }
            at = parent;
        }
    }
}

/// The packages that a signature needs; `None` if no other session can have it.
fn packages<'s>(
    value: Object<'s>,
    layout: &Layout,
    homes: &mut Homes<'s>,
    found: &mut Vec<u32>,
    depth: usize,
) -> Option<()> {
    if depth > 100 {
        return None;
    }
    if let Some(ty) = value.as_datatype() {
        let module = ty.type_name()?.module()?;
        add(homes.of(module), found)?;
        for parameter in ty.parameters() {
            packages(parameter, layout, homes, found, depth + 1)?;
        }
    } else if let Some((a, b)) = value.as_union().or_else(|| value.as_unionall()) {
        packages(a, layout, homes, found, depth + 1)?;
        packages(b, layout, homes, found, depth + 1)?;
    } else if let Some((lower, upper)) = value.as_type_variable() {
        packages(lower, layout, homes, found, depth + 1)?;
        packages(upper, layout, homes, found, depth + 1)?;
    } else if let Some(module) = value.as_module() {
        add(homes.of(module), found)?;
    } else if value.is(layout, Kind::Vararg) {
        for part in value.vararg_parts().into_iter().flatten() {
            packages(part, layout, homes, found, depth + 1)?;
        }
    } else if value.as_symbol().is_none() {
        // For a value, its type counts.
        packages(value.own_type()?, layout, homes, found, depth + 1)?;
    }
    Some(())
}

fn add(home: Home, found: &mut Vec<u32>) -> Option<()> {
    match home {
        Home::Everywhere => Some(()),
        Home::Package(number) => {
            if !found.contains(&number) {
                found.push(number);
            }
            Some(())
        }
        Home::Nowhere | Home::Ours => None,
    }
}

/// Walks all code instances.
///
/// # Safety
/// On a Julia thread. `roots` is a `Vector{Any}` of modules, and `homes` has a number for each: -1 everywhere, -2
/// nowhere, -3 ours, else that of the package.
///
/// # Errors
/// If the session has not sent the layout of Julia's objects, or the mappings cannot be read.
pub(crate) unsafe fn trace(roots: *mut jl_array_t, homes: *const i32) -> Result<Trace, TraceError> {
    let layout = Layout::get()?;
    for field in [Field::CodePrecompile, Field::CodeFlags, Field::CodeInvoke] {
        layout.offset(field).ok_or(TraceError::Field(field))?;
    }
    let images = Images::current()?;
    // SAFETY: as the caller says.
    let stopped = unsafe { Stopped::new() };
    // SAFETY: as the caller says.
    let listed =
        unsafe { Object::new(roots.cast::<jl_value_t>(), &stopped).map_or_else(Vec::new, |r| r.array()) };
    let mut known = Homes { roots: HashMap::new(), known: HashMap::new(), life: std::marker::PhantomData };
    let mut modules = Vec::new();
    for (number, module) in listed.into_iter().enumerate() {
        let Some(module) = module.and_then(Object::as_module) else { continue };
        // SAFETY: as the caller says, there is a number for each.
        let home = match unsafe { homes.add(number).read() } {
            -1 => Home::Everywhere,
            -3 => Home::Ours,
            package => u32::try_from(package).map_or(Home::Nowhere, Home::Package),
        };
        known.roots.insert(module.address(), home);
        modules.push(module);
    }
    let mut out = Trace::default();
    let mut wanted: Vec<(Object<'_>, Object<'_>)> = Vec::new();
    methods::each(&modules, layout, &stopped, &mut |method| {
        for instance in methods::specializations(method, layout) {
            let mut code = instance.field(layout, Field::InstanceCache);
            let mut here = false;
            while let Some(at) = code.filter(|code| code.is(layout, Kind::CodeInstance)) {
                out.looked += 1;
                here = here || compiled_here(at, layout, &images);
                code = at.field(layout, Field::CodeNext);
            }
            if here {
                wanted.push((method, instance));
            }
        }
    });
    out.compiled = wanted.len();
    let mut printer = Printer::new(layout);
    for (method, instance) in wanted {
        let mut needed = Vec::new();
        let module = method.field(layout, Field::MethodModule).and_then(Object::as_module);
        let signature = instance.field(layout, Field::InstanceSpecTypes);
        let (Some(module), Some(signature)) = (module, signature) else { continue };
        let fits = add(known.of(module), &mut needed)
            .and_then(|()| packages(signature, layout, &mut known, &mut needed, 0));
        if fits.is_none() {
            out.nowhere += usize::from(known.of(module) != Home::Ours);
            continue;
        }
        // Each session runs these methods before it can load a companion.
        if method
            .field(layout, Field::MethodName)
            .and_then(Object::as_symbol)
            .is_some_and(|n| n.bytes() == b"__init__")
        {
            continue;
        }
        match printer.print(signature) {
            Ok(statement) => {
                needed.sort_unstable();
                out.entries.push(Entry { statement, packages: needed });
            }
            Err(_) => out.unprintable += 1,
        }
    }
    Ok(out)
}

/// Has this session compiled the code because of a call?
fn compiled_here(code: Object<'_>, layout: &Layout, images: &Images) -> bool {
    if code.byte(layout, Field::CodePrecompile) != Some(1) {
        return false;
    }
    let invoke = code.word(layout, Field::CodeInvoke).unwrap_or(0);
    if invoke == 0 || invoke == layout.interpreted {
        return false;
    }
    if invoke == layout.constant_return {
        // It has no code, and no flag tells whether it is from an image. Its own address does.
        return !images.contain(code.address());
    }
    // If an image has only inferred code, the code instance is in the image, but its code is from this session (julia#58465).
    code.byte(layout, Field::CodeFlags).unwrap_or(0) & FROM_IMAGE == 0
}
