//! What became of one function of a library.

use std::fmt;
use std::sync::Arc;

use nativecache_image::{ImageError, PackageId, Reason};

use crate::load::install::NotInstalled;
use crate::objects::resolve::Trouble;

/// What became of one function of a library.
#[derive(Clone, Debug)]
pub(crate) enum State {
    /// Julia calls it.
    Installed,
    /// It has no code; others rely on what inference found about it.
    Inferred,
    /// It is not used.
    Out(Obstacle),
}

/// What keeps a function from being used.
#[derive(Clone, Debug)]
pub(crate) enum Obstacle {
    /// It needs a package that is not loaded.
    Waiting(PackageId),
    /// It cannot be used in this session.
    Refused(Box<Refusal>),
}

/// Why a function cannot be used. As text it is the detail, which may be empty; [`Refusal::reason`] says the kind.
#[derive(Clone, Debug)]
pub(crate) enum Refusal {
    /// Nothing was tried yet.
    NotTried,
    /// The library says what cannot be.
    Malformed(Option<Arc<ImageError>>),
    /// Verify mode found that it would be compiled to something else now.
    Different,
    /// It relies on this function of the library, which is not used.
    DependsOn(String),
    /// One of its objects is not there.
    Object(Trouble),
    /// Nobody has looked at its edges.
    EdgesUnknown,
    /// A call would go elsewhere.
    Edge(EdgeChange),
    /// A constant that may have been folded has another value.
    ConstantChanged {
        /// The path of the module that owns it.
        module: String,
        /// Its name.
        name: String,
    },
    /// The generator that makes the body of this method instance may not be run yet.
    GeneratorNotAsked(String),
    /// The session has something else in its place.
    NotInstalled(NotInstalled),
}

/// In what way a call is not what it was when the library was built. Calls are texts of signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum EdgeChange {
    /// Julia cannot tell any more which methods match.
    Unresolvable(String),
    /// Another method matches.
    ResolvesTo(String, MethodPlace),
    /// A method matches no more.
    ResolvesNoMoreTo(String, MethodPlace),
    /// The methods that match are others in some other way.
    ResolvesOtherwise(String),
    /// The generator of this method instance makes another body.
    OtherBody(String),
    /// The code that the sysimage had for this method instance holds no more.
    Invalidated(String),
}

/// Where a method was defined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MethodPlace {
    /// The path of its module.
    pub(crate) module: String,
    /// Its name.
    pub(crate) name: String,
    /// The file.
    pub(crate) file: String,
    /// The line in the file.
    pub(crate) line: i32,
}

impl Refusal {
    /// The kind of trouble.
    pub(crate) fn reason(&self) -> Reason {
        match self {
            Refusal::NotTried => Reason::Unresolved,
            Refusal::Malformed(_) => Reason::Malformed,
            Refusal::Different => Reason::Different,
            Refusal::DependsOn(_) => Reason::DependsOnRejected,
            Refusal::Object(Trouble::OtherBuild(_)) => Reason::PackageBuild,
            Refusal::Object(Trouble::Redefined(_)) => Reason::Redefined,
            Refusal::Object(Trouble::Missing(_)) => Reason::Unresolved,
            Refusal::Object(Trouble::Waiting(_)) => Reason::PackageMissing,
            Refusal::EdgesUnknown => Reason::EdgesUnknown,
            Refusal::Edge(_) => Reason::EdgeChanged,
            Refusal::ConstantChanged { .. } => Reason::ConstantChanged,
            Refusal::GeneratorNotAsked(_) => Reason::GeneratedFunction,
            Refusal::NotInstalled(NotInstalled::AlreadyCompiled) => Reason::AlreadyCompiled,
            Refusal::NotInstalled(NotInstalled::ReturnTypeDiffers) => Reason::ReturnTypeDiffers,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::NotTried => f.write_str("not tried"),
            Refusal::Malformed(Some(error)) => error.fmt(f),
            Refusal::DependsOn(call) => f.write_str(call),
            Refusal::Object(trouble) => trouble.fmt(f),
            Refusal::Edge(change) => change.fmt(f),
            Refusal::ConstantChanged { module, name } => write!(f, "{module}.{name}"),
            Refusal::GeneratorNotAsked(call) => write!(f, "the generator of {call} was not asked"),
            Refusal::Malformed(None)
            | Refusal::Different
            | Refusal::EdgesUnknown
            | Refusal::NotInstalled(_) => Ok(()),
        }
    }
}

impl fmt::Display for EdgeChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EdgeChange::Unresolvable(call) => write!(f, "{call} cannot be resolved any more"),
            EdgeChange::ResolvesTo(call, method) => write!(f, "{call} now resolves to {method}"),
            EdgeChange::ResolvesNoMoreTo(call, method) => {
                write!(f, "{call} does not resolve to {method} any more")
            }
            EdgeChange::ResolvesOtherwise(call) => write!(f, "{call} resolves in another way"),
            EdgeChange::OtherBody(call) => write!(f, "{call} has another generated body now"),
            EdgeChange::Invalidated(call) => write!(f, "{call} was invalidated in this session"),
        }
    }
}

impl fmt::Display for MethodPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let MethodPlace { module, name, file, line } = self;
        write!(f, "{module}.{name} at {file}:{line}")
    }
}

impl From<Trouble> for Obstacle {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Waiting(package) => Obstacle::Waiting(package),
            other => Refusal::Object(other).into(),
        }
    }
}

impl From<Refusal> for Obstacle {
    fn from(refusal: Refusal) -> Self {
        Obstacle::Refused(Box::new(refusal))
    }
}

impl From<NotInstalled> for Obstacle {
    fn from(why: NotInstalled) -> Self {
        Refusal::NotInstalled(why).into()
    }
}

impl From<EdgeChange> for Obstacle {
    fn from(change: EdgeChange) -> Self {
        Refusal::Edge(change).into()
    }
}

impl From<ImageError> for Obstacle {
    fn from(error: ImageError) -> Self {
        Refusal::Malformed(Some(Arc::new(error))).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::resolve::Missing;

    #[test]
    fn a_refusal_has_a_reason_and_a_text() {
        let place = MethodPlace {
            module: "Main.A".to_owned(),
            name: "f".to_owned(),
            file: "a.jl".to_owned(),
            line: 3,
        };
        let moved = Refusal::Edge(EdgeChange::ResolvesTo("Tuple{f, Int64}".to_owned(), place));
        assert_eq!(moved.reason(), Reason::EdgeChanged);
        assert_eq!(moved.to_string(), "Tuple{f, Int64} now resolves to Main.A.f at a.jl:3");
        let rebound = Refusal::ConstantChanged { module: "A".to_owned(), name: "LIMIT".to_owned() };
        assert_eq!((rebound.reason(), rebound.to_string().as_str()), (Reason::ConstantChanged, "A.LIMIT"));
        let compiled = Refusal::NotInstalled(NotInstalled::AlreadyCompiled);
        assert_eq!((compiled.reason(), compiled.to_string().as_str()), (Reason::AlreadyCompiled, ""));
        let missing = Obstacle::from(Trouble::from(Missing::Method("f".to_owned())));
        assert!(matches!(missing, Obstacle::Refused(refusal) if refusal.to_string() == "method f"));
        assert!(matches!(Obstacle::from(Trouble::Waiting(PackageId(1))), Obstacle::Waiting(PackageId(1))));
    }
}
