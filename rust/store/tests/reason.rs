//! Reasons: codes never change, every one can be told to a stranger.

use nativecache_store::{Reason, Stage};
use std::collections::HashSet;

/// The codes as they stand in files that exist. A line may be added, never changed.
const CODES: &[(u16, &str)] = &[
    (100, "NotFound"),
    (101, "Unreadable"),
    (102, "Truncated"),
    (103, "BadMagic"),
    (104, "FormatVersion"),
    (105, "HashMismatch"),
    (106, "Malformed"),
    (107, "KeyDiffers"),
    (108, "CpuFeatures"),
    (109, "PackageBuild"),
    (111, "LinkFailed"),
    (112, "SymbolMissing"),
    (113, "Disabled"),
    (114, "GeneratingOutput"),
    (115, "Coverage"),
    (116, "AllocationTracking"),
    (117, "CompileMode"),
    (118, "Untrusted"),
    (119, "NotLoaded"),
    (120, "BuiltLater"),
    (121, "NotStarted"),
    (122, "StartFailed"),
    (123, "Unproved"),
    (124, "Replaced"),
    (125, "ThreadState"),
    (126, "NoImages"),
    (200, "NoSuchMethod"),
    (201, "NamesMain"),
    (202, "InSysimage"),
    (203, "NotInferred"),
    (204, "GeneratedFunction"),
    (205, "UnknownAddress"),
    (206, "UnknownConstant"),
    (207, "IntegerAddress"),
    (208, "UnknownForeignCall"),
    (209, "CompilerThrew"),
    (210, "CompilerAborted"),
    (212, "ConstantResult"),
    (214, "OpaqueModule"),
    (215, "UnknownObject"),
    (216, "EdgesUnknown"),
    (217, "ForeignCallback"),
    (218, "CompiledAtStart"),
    (219, "BuildFailed"),
    (220, "InferredCode"),
    (221, "MadeAtInit"),
    (224, "PureFunction"),
    (225, "NoTypeExpression"),
    (226, "NotCompiled"),
    (227, "AlreadyNative"),
    (300, "PackageMissing"),
    (301, "Unresolved"),
    (302, "AlreadyCompiled"),
    (303, "ReturnTypeDiffers"),
    (304, "EdgeChanged"),
    (305, "DependsOnRejected"),
    (306, "Redefined"),
    (308, "Invalidated"),
    (309, "Different"),
    (312, "ConstantChanged"),
    (313, "NotInImage"),
    (314, "NotUsedHere"),
    (400, "NotRequested"),
    (401, "AskedLater"),
];

#[test]
fn codes_stay() {
    let now: Vec<_> = Reason::ALL.iter().map(|reason| (reason.code(), reason.name())).collect();
    assert_eq!(now, CODES);
}

#[test]
fn codes_and_reasons_are_one_to_one() {
    for reason in Reason::ALL {
        assert_eq!(Reason::from_code(reason.code()), Some(*reason));
    }
    let known = (0..=u16::MAX).filter(|code| Reason::from_code(*code).is_some()).count();
    assert_eq!(known, Reason::ALL.len());
}

#[test]
fn stages_go_by_hundreds() {
    for reason in Reason::ALL {
        let stage = match reason.code() / 100 {
            1 => Stage::Library,
            2 => Stage::Build,
            3 => Stage::Load,
            4 => Stage::Session,
            other => panic!("no stage has the codes of {other}00"),
        };
        assert_eq!(reason.stage(), stage, "{reason:?}");
    }
}

#[test]
fn each_has_a_line_of_its_own_and_one_of_advice() {
    let mut texts = HashSet::new();
    for reason in Reason::ALL {
        assert!(texts.insert(reason.text()), "{reason:?} has the text of another");
        assert_eq!(reason.to_string(), reason.text());
        for line in [reason.text(), reason.advice()] {
            assert!(line.len() > 10 && line.len() < 100, "{reason:?}: {line}");
            assert!(
                !line.contains('\n') && !line.ends_with('.') && line.trim() == line,
                "{reason:?}: {line}"
            );
        }
    }
}
