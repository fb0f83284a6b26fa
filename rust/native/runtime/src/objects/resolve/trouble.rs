//! Why a description has no object in this session.

use nativecache_image::PackageId;
use thiserror::Error;

use crate::load::loaded::OtherBuild;

/// Why a node or slot has no value. As text it is the detail beside the reason.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Trouble {
    /// Its package is not loaded.
    #[error("")]
    Waiting(PackageId),
    /// Its package is loaded, but precompiled again since.
    #[error("{0}")]
    OtherBuild(OtherBuild),
    /// The session has another method with this signature.
    #[error("{0}")]
    Redefined(String),
    /// The session has no such object.
    #[error("{0}")]
    Missing(Missing),
}

impl From<Missing> for Trouble {
    fn from(missing: Missing) -> Self {
        Trouble::Missing(missing)
    }
}

/// What exactly a session does not have. The text says what was looked for.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Missing {
    /// The builtin that gives types their parameters.
    #[error("Core.apply_type")]
    ApplyType,
    /// The tables of the library cannot be read here.
    #[error("{0}")]
    Malformed(String),
    /// Nothing is bound, or defined, where it is looked for.
    #[error("nothing there")]
    Nothing,
    /// The tables have no node of this number.
    #[error("no such node")]
    Node,
    /// It has not been looked for.
    #[error("not resolved")]
    NotResolved,
    /// The object is not of the kind that is needed.
    #[error("not a {0}")]
    Kind(&'static str),
    /// A module has no such constant.
    #[error("constant {module}.{name}")]
    Constant {
        /// The module's path.
        module: String,
        /// The name.
        name: String,
    },
    /// A module has no such type.
    #[error("type {module}.{name}")]
    Type {
        /// The module's path.
        module: String,
        /// The name.
        name: String,
    },
    /// A module has no such binding of its own.
    #[error("binding {module}.{name}")]
    Binding {
        /// The module's path.
        module: String,
        /// The name.
        name: String,
    },
    /// An object has no such field that is a reference.
    #[error("boxed field {0}")]
    Field(u32),
    /// A type cannot have these parameters.
    #[error("a type with these parameters")]
    Parameters,
    /// A type variable cannot have these bounds.
    #[error("a type variable with these bounds")]
    Bounds,
    /// What stands before a `where` is no type.
    #[error("a type before a `where`")]
    Body,
    /// Not all members of a union are types.
    #[error("a union of what is no type")]
    Union,
    /// A type is not one of plain bits, or of another size.
    #[error("a bits type of this size")]
    BitsType,
    /// A type is no singleton.
    #[error("an instance")]
    Instance,
    /// A struct has another number of fields.
    #[error("a struct with this many fields")]
    FieldCount,
    /// A field has another type.
    #[error("a struct with fields of these types")]
    FieldTypes,
    /// A struct is mutable, or not all of its fields are there.
    #[error("an immutable struct with all fields")]
    ImmutableStruct,
    /// A type is not one of vectors.
    #[error("a vector type")]
    VectorType,
    /// The items of a vector are no references.
    #[error("a vector of boxed items")]
    VectorOfReferences,
    /// The items of a vector take another number of bytes.
    #[error("a vector of this size")]
    VectorSize,
    /// What stands for a signature is no type.
    #[error("a signature")]
    Signature,
    /// There is no method with this signature.
    #[error("method {0}")]
    Method(String),
    /// A method has no such root.
    #[error("root {0}")]
    Root(u32),
    /// A method has no room for more roots.
    #[error("room among the roots of its method")]
    RoomForRoots,
    /// What stands for the types or parameters of a method instance is something else.
    #[error("a specialisation")]
    Specialisation,
    /// The sysimage's code of a method instance is not valid any more.
    #[error("valid code of the sysimage")]
    SysimageCode,
    /// The sysimage has no object at this place.
    #[error("an object of the sysimage")]
    SysimageObject,
    /// libjulia has no such variable.
    #[error("{0}")]
    Builtin(&'static str),
    /// A text has a NUL in it, and cannot be a C string.
    #[error("a C string")]
    CString,
    /// A name has a NUL in it, and cannot be that of a C symbol.
    #[error("a C symbol")]
    CSymbolName,
    /// A library, or the process, has no such symbol.
    #[error("C symbol {name} of {}", library.as_deref().unwrap_or("the process"))]
    CSymbol {
        /// The library; `None` for the process.
        library: Option<String>,
        /// The symbol.
        name: String,
    },
    /// A code instance of the sysimage has not been compiled.
    #[error("its invoke")]
    Invoke,
    /// A code instance of the sysimage has no specialised code.
    #[error("its specptr")]
    Specptr,
    /// A function of the library is there for its edges only.
    #[error("a result of inference")]
    InferenceResult,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_name_what_was_looked_for() {
        let constant = Missing::Constant { module: "A.B".to_owned(), name: "x".to_owned() };
        assert_eq!(constant.to_string(), "constant A.B.x");
        assert_eq!(Missing::Kind("data type").to_string(), "not a data type");
        let symbol = |library: Option<&str>| Missing::CSymbol {
            library: library.map(str::to_owned),
            name: "f".to_owned(),
        };
        assert_eq!(symbol(None).to_string(), "C symbol f of the process");
        assert_eq!(symbol(Some("libm")).to_string(), "C symbol f of libm");
    }
}
