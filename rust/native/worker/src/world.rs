//! Everything about this process that a build needs, once inference is done.

use std::collections::{HashMap, HashSet};

use nativecache_image::NodeId;
use nativecache_julia::handles::{
    is_inlineable, make, CodeInfo, CodeInstance, Invoke, Method, MethodTable, Module, Object,
};
use nativecache_julia::loading::root_modules;
use nativecache_julia::stopped::Stopped;
use nativecache_julia::sysimage::Sysimage;
use nativecache_julia::walk;
use nativecache_runtime::error::Undescribable;
use nativecache_runtime::objects::describe::Describer;

use crate::changeable_constants::ChangeableConstants;
use crate::from_ji;
use crate::made_at_init::MadeAtInit;
use crate::mentioned_names::MentionedNames;
use crate::pure_methods::PureMethods;

/// What is alive in this process, and what is known of it.
pub(crate) struct World<'j> {
    /// The collector does not run, and nothing else does.
    pub(crate) julia: &'j Stopped,
    pub(crate) sysimage: Sysimage,
    pub(crate) roots: Vec<Module<'j>>,
    pub(crate) modules: Vec<Module<'j>>,
    pub(crate) methods: Vec<Method<'j>>,
    pub(crate) tables: Vec<MethodTable<'j>>,
    pub(crate) code_instances: Vec<CodeInstance<'j>>,
    /// Where the code instances lie that came with the packages' .ji files.
    pub(crate) from_ji: HashSet<usize>,
    /// What `__init__` functions have made.
    pub(crate) made_at_init: MadeAtInit<'j>,
    /// The names in methods' sources.
    pub(crate) mentions: MentionedNames<'j>,
    /// Methods that inference may have called.
    pub(crate) pure: PureMethods<'j>,
    /// Constants that a session could bind anew.
    pub(crate) changeable: ChangeableConstants<'j>,
    /// Code that callers may inline, as inference left it: code generation forgets some of it.
    inlineable: HashMap<CodeInstance<'j>, Object<'j>>,
    /// Inferred code from which code generation starts; it forgets what callers may not inline.
    sources: HashMap<CodeInstance<'j>, Object<'j>>,
    /// The newest world when this process began.
    pub(crate) start: usize,
}

impl<'j> World<'j> {
    /// Looks at everything. `inferred` is code that inference gave and that its code instances have not kept.
    pub(crate) fn read(
        julia: &'j Stopped,
        sysimage: Sysimage,
        start: usize,
        inferred: &HashMap<CodeInstance<'j>, Object<'j>>,
    ) -> Self {
        let roots = root_modules(julia);
        let modules = walk::modules(&roots);
        let tables = walk::method_tables(julia, &modules);
        let methods = walk::methods(&tables);
        let code_instances: Vec<CodeInstance<'j>> = methods
            .iter()
            .flat_map(|method| method.specialisations())
            .flat_map(|instance| instance.code_instances())
            .collect();
        let kept = |code: &CodeInstance<'j>| code.inferred().filter(|code| !code.is_nothing());
        let inlineable = code_instances
            .iter()
            .filter(|code| !sysimage.data.contains(&code.address()))
            .filter_map(|code| Some((*code, kept(code).filter(|code| is_inlineable(*code))?)))
            .collect();
        let sources = code_instances
            .iter()
            .filter_map(|code| Some((*code, kept(code).or_else(|| inferred.get(code).copied())?)))
            .collect();
        World {
            from_ji: from_ji::code_instances(),
            made_at_init: MadeAtInit::collect(julia, &modules),
            mentions: MentionedNames::new(julia),
            pure: PureMethods::collect(&methods, &modules, &sysimage.data),
            changeable: ChangeableConstants::collect(&modules, &sysimage.data),
            julia,
            sysimage,
            roots,
            modules,
            methods,
            tables,
            code_instances,
            inlineable,
            sources,
            start,
        }
    }

    /// The code from which that of `code` is generated.
    pub(crate) fn source(&self, code: CodeInstance<'j>) -> Option<CodeInfo<'j>> {
        CodeInfo::from_inferred(code, self.kept_source(code)?)
    }

    /// The code from which that of `code` is generated, in the form in which it is kept: compressed or not.
    pub(crate) fn kept_source(&self, code: CodeInstance<'j>) -> Option<Object<'j>> {
        self.sources.get(&code).copied()
    }

    /// The node of the code of `code` that callers may inline; `None` if they may not.
    pub(crate) fn describe_inlineable(
        &self,
        code: CodeInstance<'j>,
        describer: &mut Describer<'j>,
    ) -> Result<Option<NodeId>, Undescribable> {
        let Some(compressed) = self.inlineable.get(&code) else { return Ok(None) };
        // SAFETY: `read` took it from this code instance; in a build process nothing else runs.
        unsafe { describer.code(code, *compressed) }.map(Some)
    }

    /// Is it the sysimage's, with machine code there?
    pub(crate) fn has_sysimage_code(&self, code: CodeInstance<'j>) -> bool {
        is_compiled_in(&self.sysimage, code)
    }

    /// Has Julia forget the inferred code of `code`: its callers then call it through `jl_invoke`.
    pub(crate) fn forget_inferred(&self, code: CodeInstance<'j>) {
        // SAFETY: in a build process, which has its own idea of what is inferred.
        unsafe { code.set_inferred(make::nothing(self.julia)) };
    }

    /// Has Julia remember the inferred code of `code`.
    pub(crate) fn remember_inferred(&self, code: CodeInstance<'j>) {
        if let Some(source) = self.kept_source(code) {
            // SAFETY: in a build process, and it is this code.
            unsafe { code.set_inferred(source) };
        }
    }
}

/// Does this code instance belong to the sysimage, and its machine code too?
pub(crate) fn is_compiled_in(sysimage: &Sysimage, code: CodeInstance<'_>) -> bool {
    sysimage.data.contains(&code.address()) && sysimage.span.contains(&code.specptr())
}

/// Does nothing run when it is called, since inference knows what comes out?
pub(crate) fn returns_constant(code: CodeInstance<'_>) -> bool {
    code.invoke() == Some(Invoke::ConstReturn)
}
