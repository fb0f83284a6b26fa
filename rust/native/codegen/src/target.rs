//! The machine that code is compiled for.

use inkwell::targets::{CodeModel, RelocMode, Target as LlvmTarget, TargetMachine};
use inkwell::OptimizationLevel;

use crate::error::CodegenError;
use crate::llvm::{initialise_targets, Module};

/// Julia's `-O`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OptLevel {
    /// `-O0`
    O0,
    /// `-O1`
    O1,
    /// `-O2`, the default
    O2,
    /// `-O3`
    O3,
}

impl OptLevel {
    /// Its number in Julia's options.
    #[must_use]
    pub const fn number(self) -> i32 {
        self as i32
    }

    /// The level that the just-in-time compiler passes to LLVM's code generator (`CodeGenOptLevelFor`).
    const fn machine(self) -> OptimizationLevel {
        match self {
            Self::O0 | Self::O1 => OptimizationLevel::None,
            Self::O2 => OptimizationLevel::Default,
            Self::O3 => OptimizationLevel::Aggressive,
        }
    }
}

impl TryFrom<i32> for OptLevel {
    type Error = CodegenError;

    fn try_from(level: i32) -> Result<Self, CodegenError> {
        match level {
            0 => Ok(Self::O0),
            1 => Ok(Self::O1),
            2 => Ok(Self::O2),
            3 => Ok(Self::O3),
            _ => Err(CodegenError::Level(level)),
        }
    }
}

/// A processor and an optimisation level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Name of the processor, as LLVM knows it.
    pub cpu: String,
    /// Its features: `+avx2,-avx512f,...`.
    pub features: String,
    /// The session's optimisation level.
    pub level: OptLevel,
}

impl Target {
    /// This machine, as Julia's just-in-time compiler sees it by default (`-C native`).
    #[must_use]
    pub fn host(level: OptLevel) -> Self {
        Self { cpu: host_cpu(), features: host_features().join(","), level }
    }

    /// The machine that a session's `-C` (`jl_options.cpu_target`) describes, for which its just-in-time compiler
    /// generates code. Code for another machine may compute other last digits.
    ///
    /// Of a list of machines the first one is used, as Julia does. Features that this machine lacks are disabled.
    #[must_use]
    pub fn of_session(cpu_target: &str, level: OptLevel) -> Self {
        let mut parts = cpu_target.split(';').next().unwrap_or_default().split(',').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let mut target = match name {
            "" | "native" => Self::host(level),
            "generic" | "x86_64" => Self::named("x86-64", level),
            _ => Self::named(name, level),
        };
        // Other words only matter for building system images (`clone_all`, `base(0)`, ...).
        for feature in parts.filter(|part| part.starts_with('+') || part.starts_with('-')) {
            if !feature.get(1..).is_some_and(|name| SYSIMAGE_WORDS.contains(&name)) {
                target.features.push(',');
                target.features.push_str(feature);
            }
        }
        target
    }

    fn named(cpu: &str, level: OptLevel) -> Self {
        let lacking: Vec<String> =
            host_features().into_iter().filter(|feature| feature.starts_with('-')).collect();
        Self { cpu: cpu.to_owned(), features: lacking.join(","), level }
    }

    /// A machine for position-independent code. The just-in-time compiler places code anywhere and needs the large code
    /// model. In a library the small one reaches everything.
    pub(crate) fn machine(&self, module: &Module) -> Result<TargetMachine, CodegenError> {
        initialise_targets();
        let triple = module.inkwell().get_triple();
        let error = |text: String| CodegenError::Target {
            triple: triple.as_str().to_string_lossy().into_owned(),
            cpu: self.cpu.clone(),
            text,
        };
        let target = LlvmTarget::from_triple(&triple).map_err(|text| error(text.to_string()))?;
        target
            .create_target_machine(
                &triple,
                &self.cpu,
                &self.features,
                self.level.machine(),
                RelocMode::PIC,
                CodeModel::Small,
            )
            .ok_or_else(|| error("LLVM makes none".to_owned()))
    }
}

/// Words that may stand among the features of `-C` but are not features.
const SYSIMAGE_WORDS: [&str; 3] = ["clone_all", "opt_size", "min_size"];

fn host_cpu() -> String {
    let cpu = TargetMachine::get_host_cpu_name().to_string();
    // Julia uses `x86-64` if LLVM does not know the processor. Its code is scheduled differently from that for
    // `generic`.
    if cpu == "generic" && cfg!(target_arch = "x86_64") {
        "x86-64".to_owned()
    } else {
        cpu
    }
}

/// The features of this machine, sorted because LLVM lists them in the order of a hash table.
fn host_features() -> Vec<String> {
    let features = TargetMachine::get_host_cpu_features().to_string();
    let mut features: Vec<String> = features.split(',').map(str::to_owned).collect();
    features.sort_unstable();
    features
}
