//! Objects are described in an image, and found again by what it says, in a running Julia.

mod recipe;
mod same;

use std::cell::RefCell;

use nativecache_image::{Image, ImageBuilder, NodeId, Slot, SlotId};
use nativecache_julia::handles::{
    is_inlineable, Binding, CodeInfo, CodeInstance, Method, MethodInstance, Module, Object, QuoteNode, SVec,
};
use nativecache_julia::loading::root_modules;
use nativecache_julia::object_paths::Paths;
use nativecache_julia::stopped::Stopped;
use nativecache_julia::sysimage::Sysimage;
use nativecache_julia::walk;
use nativecache_runtime::edges::tables::MethodTables;
use nativecache_runtime::error::Undescribable;
use nativecache_runtime::load::loaded::find_packages;
use nativecache_runtime::objects::describe::Describer;
use nativecache_runtime::objects::resolve::{Missing, Resolver, Surroundings, Trouble};
use nativecache_testing::{evaluate, evaluate_to};
use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestCaseError, TestRunner};

use recipe::{recipes, types, Kitchen, Recipe, REFUSED};
use same::Same;

nativecache_testing::tests![
    made_up_objects_come_back,
    made_up_types_come_back,
    what_is_used_twice_comes_back_once,
    bindings_come_back,
    inlineable_code_comes_back,
    code_of_the_sysimage_comes_back,
    what_has_no_description,
    main_comes_back,
    what_has_changed_is_not_found,
];

/// A process that describes objects, and one that finds them: this one is both.
struct Session<'j> {
    julia: &'j Stopped,
    sysimage: Sysimage,
    roots: Vec<Module<'j>>,
    modules: Vec<Module<'j>>,
    methods: Vec<Method<'j>>,
}

impl<'j> Session<'j> {
    /// `by_place` says that objects of the sysimage are described by where they lie in it, and not by their names.
    fn new(julia: &'j Stopped, by_place: bool) -> Self {
        if Module::main(julia).constant_named("Fixture").is_none() {
            let _ = evaluate(julia, include_str!("fixture.jl"));
        }
        let sysimage = Sysimage::current().expect("Julia has a sysimage");
        let modules = walk::modules(&Kitchen::new(julia).packages());
        // The table of constructors has those of all packages.
        let mut methods = walk::methods(&walk::method_tables(julia, &modules));
        methods.retain(|method| modules.contains(&method.module()));
        let sysimage = Sysimage { known_by_contents: by_place, ..sysimage };
        Session { julia, sysimage, roots: root_modules(julia), modules, methods }
    }

    fn describer(&self) -> Describer<'j> {
        let own = self.roots.iter().filter(|root| self.sysimage.data.contains(&root.address()));
        let paths = Paths::collect(self.julia, &self.modules, &self.methods);
        Describer::new(self.julia, paths, own.copied().collect(), &self.sysimage)
    }

    /// What `body` makes of an image, as another session reads it from its bytes.
    fn read<T>(
        &self,
        image: ImageBuilder,
        body: impl FnOnce(&Image<'_>, &Resolver, &Surroundings<'_, 'j>) -> T,
    ) -> T {
        let bytes = image.finish().expect("an image");
        let image = Image::parse(&bytes).expect("an image that can be read");
        let mut resolver = Resolver::new(&image, Some(&self.sysimage));
        let packages = find_packages(&image, &self.roots);
        let world = self.julia.world();
        let tables = MethodTables::new(self.sysimage.data.clone(), world, false);
        let around = resolver.surroundings(self.julia, &packages, world, &tables).expect("Core.apply_type");
        // SAFETY: the collector does not run as long as the resolver is there.
        unsafe { resolver.run(&image, &around) };
        body(&image, &resolver, &around)
    }

    /// The objects of these nodes, found again.
    fn find(&self, image: ImageBuilder, nodes: &[NodeId]) -> Vec<Result<Object<'j>, Trouble>> {
        self.read(image, |_, resolver, _| {
            nodes.iter().map(|node| resolver.object(self.julia, *node)).collect()
        })
    }
}

/// So many times in each test, with this seed. `PROPTEST_CASES` asks for more.
fn runner() -> TestRunner {
    let seed = RngSeed::Fixed(15);
    TestRunner::new(ProptestConfig {
        cases: 600,
        failure_persistence: None,
        rng_seed: seed,
        ..ProptestConfig::default()
    })
}

fn fails(what: impl Into<String>) -> TestCaseError {
    TestCaseError::fail(what.into())
}

/// Describes what the recipes make in one image, and finds it again.
fn come_back<'j>(
    session: &Session<'j>,
    kitchen: &mut Kitchen<'j>,
    recipes: &[Recipe],
) -> Result<(), TestCaseError> {
    let mut describer = session.describer();
    let (mut objects, mut nodes) = (Vec::new(), Vec::new());
    for recipe in recipes {
        let object = kitchen.make(recipe);
        let refusals = recipe.refusals(false);
        match describer.node(object) {
            Ok(_) if !refusals.is_empty() => return Err(fails(format!("described: {recipe:?}"))),
            Err(Undescribable { reason, .. }) if refusals.contains(&reason) => {}
            Err(why) => return Err(fails(format!("{why}: {recipe:?}"))),
            Ok(node) => {
                objects.push((recipe, object));
                nodes.push(node);
            }
        }
    }
    let mut same = Same::default();
    for ((recipe, object), found) in objects.into_iter().zip(session.find(describer.image, &nodes)) {
        match found {
            Ok(found) if same.are(object, found) => {}
            Ok(_) => return Err(fails(format!("another object comes back: {recipe:?}"))),
            Err(trouble) => return Err(fails(format!("{trouble:?}: {recipe:?}"))),
        }
    }
    Ok(())
}

/// Tries what `recipes` gives, several in one image, with objects of the sysimage by their places and by their names.
fn all_come_back(julia: &Stopped, recipes: impl Strategy<Value = Recipe>) {
    let several = prop::collection::vec(recipes, 1..8);
    for by_place in [true, false] {
        let session = Session::new(julia, by_place);
        let kitchen = RefCell::new(Kitchen::new(julia));
        let outcome =
            runner().run(&several, |recipes| come_back(&session, &mut kitchen.borrow_mut(), &recipes));
        outcome.unwrap_or_else(|failed| panic!("by place: {by_place}: {failed}"));
    }
}

fn made_up_objects_come_back(julia: &Stopped) {
    all_come_back(julia, recipes());
}

fn made_up_types_come_back(julia: &Stopped) {
    all_come_back(julia, types().prop_map(Recipe::Type));
}

/// Two mutable objects in code that look alike stay two, and one that stands in two places stays one.
fn what_is_used_twice_comes_back_once(julia: &Stopped) {
    let session = Session::new(julia, true);
    let mut describer = session.describer();
    let expressions = "one, other = Expr(:a, 1), Expr(:a, 1); Core.svec(one, one, other, QuoteNode(one))";
    let node = describer.node(evaluate(julia, expressions)).expect("a description");
    let found = session.find(describer.image, &[node]).remove(0).expect("the vector");
    let items: Vec<Object<'_>> = found.as_kind::<SVec<'_>>().into_iter().flat_map(SVec::items).collect();
    let quoted = items[3].as_kind::<QuoteNode<'_>>().and_then(QuoteNode::value);
    assert!(items[0] == items[1] && quoted == Some(items[0]));
    assert!(items[0] != items[2]);
}

fn bindings_come_back(julia: &Stopped) {
    let session = Session::new(julia, true);
    let mut describer = session.describer();
    let mut slots: Vec<(SlotId, usize)> = Vec::new();
    for module in &session.modules {
        for (_, binding) in module.own_bindings() {
            for address in [binding.address(), binding.address() + Binding::OFFSET_OF_VALUE] {
                let known = describer.paths().binding_around(address);
                let (module, name, offset) = known.expect("a binding of a module that was walked over");
                let module = describer.node(module.into()).expect("a module");
                let slot = Slot::Binding { module, name: name.to_owned(), offset };
                slots.push((describer.image.slot(slot).expect("a slot"), address));
            }
        }
    }
    assert!(slots.len() > 30);
    session.read(describer.image, |image, resolver, around| {
        for (slot, address) in slots {
            let found = resolver.slot(image, around, slot, &mut Vec::new());
            assert_eq!(found.map(|pointer| pointer as usize), Ok(address));
        }
    });
}

/// Code that inference left for callers refers to types, functions and constants by the numbers of roots.
fn inlineable_code_comes_back(julia: &Stopped) {
    let session = Session::new(julia, true);
    let _ = evaluate(
        julia,
        "foreach((Fixture.plain, Fixture.keywords, Fixture.quotes, Fixture.adder(1), Fixture.Square{Int8,1}())) do f
             precompile(f, (Int,)) || error(f)
         end
         precompile(Fixture.parametric, (Int, Vector{Int})) || error()",
    );
    let mut describer = session.describer();
    let (mut codes, mut nodes) = (Vec::new(), Vec::new());
    for code in session
        .methods
        .iter()
        // Has a mutable object in it.
        .filter(|method| method.name().as_str() != "held")
        .flat_map(|method| method.specialisations())
        .flat_map(|instance| instance.code_instances())
    {
        let Some(inferred) = code.inferred().filter(|inferred| is_inlineable(*inferred)) else { continue };
        // SAFETY: its own, and nothing else runs.
        let node = unsafe { describer.code(code, inferred) };
        nodes.push(node.unwrap_or_else(|why| panic!("{why}")));
        codes.push((code, inferred));
    }
    assert!(codes.len() > 5, "{} are inlineable", codes.len());
    for ((code, inferred), found) in codes.into_iter().zip(session.find(describer.image, &nodes)) {
        let found = found.unwrap_or_else(|trouble| panic!("{trouble:?}"));
        assert!(found != inferred && is_inlineable(found));
        assert!(Same::default().are(statements(code, inferred), statements(code, found)), "other code");
    }
}

fn statements<'j>(code: CodeInstance<'j>, kept: Object<'j>) -> Object<'j> {
    CodeInfo::from_inferred(code, kept).and_then(CodeInfo::statements).expect("statements").object()
}

fn code_of_the_sysimage_comes_back(julia: &Stopped) {
    let session = Session::new(julia, true);
    let codes =
        ["instance(+, Int, Int)", "(precompile(Fixture.plain, (Int,)); instance(Fixture.plain, Int))"].map(
            |instance| {
                let instance: MethodInstance<'_> = evaluate_to(julia, instance);
                instance.inferred_in(julia.world()).expect("code")
            },
        );
    let mut describer = session.describer();
    let nodes = codes.map(|code| describer.node(code.into()).expect("a description"));
    let found = session.find(describer.image, &nodes);
    assert_eq!(found[0], Ok(codes[0].into()));
    // What a session compiles may have another signature.
    assert_eq!(found[1], Err(Missing::SysimageCode.into()));
}

/// By themselves, and wherever they lie in something else; not described is also what would be described wrongly.
fn what_has_no_description(julia: &Stopped) {
    let session = Session::new(julia, true);
    let mut describer = session.describer();
    for (code, reason) in REFUSED {
        for around in ["", "Fixture.Boxed", "tuple", "Core.svec", "QuoteNode", "Some{Any}"] {
            let object = evaluate(julia, &format!("{around}({code})"));
            let refused = describer.node(object).expect_err(code);
            assert_eq!(refused.reason, reason, "{around}({code}): {refused}");
            assert!(!refused.detail.is_empty());
        }
    }
}

/// Code may look for a variable of `Main`; nothing that lies there is described.
fn main_comes_back(julia: &Stopped) {
    let session = Session::new(julia, true);
    let mut describer = session.describer();
    let main = evaluate(julia, "Main");
    let node = describer.node(main).expect("a description");
    assert_eq!(session.find(describer.image, &[node]), [Ok(main)]);
}

fn what_has_changed_is_not_found(julia: &Stopped) {
    let mut session = Session::new(julia, true);
    let describe = |session: &Session<'_>, code: &str| {
        let object = evaluate(julia, code);
        let mut describer = session.describer();
        let node = describer.node(object).expect("a description");
        (describer.image, [node])
    };
    // Another method with the signature.
    let (image, node) =
        describe(&session, "(Base.eval(Fixture, :(changes() = 1)); which(Fixture.changes, ()))");
    let _ = evaluate(julia, "Base.eval(Fixture, :(changes() = 2))");
    let found = session.find(image, &node).remove(0);
    assert!(matches!(found, Err(Trouble::Redefined(_))), "{found:?}");
    // The package is not there.
    let (image, node) = describe(&session, "Fixture.Point(1, 2)");
    session.roots.retain(|root| root.as_str() != "Fixture");
    let found = session.find(image, &node).remove(0);
    assert!(matches!(found, Err(Trouble::Waiting(_))), "{found:?}");
}
