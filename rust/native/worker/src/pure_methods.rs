//! Methods that are declared pure: inference calls them and keeps the result, and no edge says so
//! (base/compiler/abstractinterpretation.jl, `pure_eval_call`).

use std::collections::HashMap;
use std::ops::Range;

use nativecache_julia::handles::{DataType, Method, MethodInstance, Module, Object, TypeName};

use crate::mentioned_names::{constants, held_by, MentionedNames};

/// Pure methods, those of the sysimage not among them, by what code that calls them mentions.
#[derive(Default)]
pub(crate) struct PureMethods<'j> {
    by_type: HashMap<TypeName<'j>, Vec<Method<'j>>>,
    by_name: HashMap<&'j str, Vec<Method<'j>>>,
}

impl<'j> PureMethods<'j> {
    /// Those among `methods`; `sysimage` is where its objects lie.
    pub(crate) fn collect(methods: &[Method<'j>], modules: &[Module<'j>], sysimage: &Range<usize>) -> Self {
        let mut pure = PureMethods::default();
        for method in methods {
            if !method.is_pure() || sysimage.contains(&method.address()) {
                continue;
            }
            pure.by_name.entry(method.name().as_str()).or_default().push(*method);
            // The function's own type stands first in a signature.
            let function = method.signature().data_type().and_then(|types| types.parameters().get(0));
            if let Some(name) = function.and_then(called_name) {
                pure.by_type.entry(name).or_default().push(*method);
            }
        }
        if pure.by_name.is_empty() {
            return pure;
        }
        for (name, value) in constants(modules) {
            let mut found = Vec::new();
            held_by(value, &mut |held| found.extend_from_slice(pure.of_held(held)));
            if !found.is_empty() {
                pure.by_name.entry(name).or_default().extend(found);
            }
        }
        pure
    }

    /// Those of the function whose type, or of the type that, `held` is.
    fn of_held(&self, held: Object<'j>) -> &[Method<'j>] {
        let name = held.as_kind::<DataType<'j>>().map(DataType::name);
        name.and_then(|name| self.by_type.get(&name)).map_or(&[], Vec::as_slice)
    }

    /// What `instance`, of a method, may have called of them: the instances that there are.
    pub(crate) fn called_by(
        &self,
        instance: MethodInstance<'j>,
        mentions: &MentionedNames<'j>,
    ) -> Vec<MethodInstance<'j>> {
        if self.by_name.is_empty() {
            return Vec::new();
        }
        let mut methods = Vec::new();
        for name in mentions.names(instance).all() {
            methods.extend(self.by_name.get(name).into_iter().flatten().copied());
        }
        held_by(instance.types(), &mut |held| methods.extend_from_slice(self.of_held(held)));
        methods.sort_unstable();
        methods.dedup();
        let all = methods.into_iter().flat_map(|method| method.specialisations());
        all.filter(|called| *called != instance).collect()
    }
}

/// The name of the type of which a call's first argument is an instance, or which it constructs.
fn called_name(ty: Object<'_>) -> Option<TypeName<'_>> {
    let ty = ty.data_type()?;
    if !ty.name().is_type_of_types() {
        return Some(ty.name());
    }
    ty.parameters().get(0)?.type_name()
}
