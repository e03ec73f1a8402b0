//! The shim, the compiler, and what every kernel shares.

use super::machine::{Fault, Grid, Kernel, Machine, Word, pack, unpack};
use super::nvrtc::{self, Target};
use super::shim::Shim;
use super::{boost, ets, faulty, forest, kernels, linear, logistic, measure, mlp, theta};
use crate::boost::exp::exp;

/// Sums e^x in groups, with shared memory, barriers and shuffles.
const GROUPED: Kernel = Kernel {
    name: "grouped",
    source: r#"
#include "kernel.h"
struct GroupedArguments { const double* in; double* each; double* sums; i64 n; double factor; };
extern "C" __global__ void __launch_bounds__(256) grouped(const GroupedArguments a) {
  SHARED(raw);
  double* shared = (double*)raw;
  const int t = threadIdx.x;
  double sum = 0.0;
  for (i64 i = blockIdx.x * (i64)blockDim.x + t; i < a.n; i += (i64)gridDim.x * blockDim.x) {
    a.each[i] = a.factor * exp_of(a.in[i]);
    sum += 1.0;
  }
  shared[t] = sum;
  __syncthreads();
  for (int half = blockDim.x / 2; half >= 32; half >>= 1) {
    if (t < half) shared[t] += shared[t + half];
    BARRIER;
  }
  if (t < 32) {
    double own = shared[t];
    for (int by = 16; by > 0; by >>= 1) own += __shfl_down_sync(~0u, own, by);
    if (t == 0) a.sums[blockIdx.x] = own;
  }
  if (t == (int)blockDim.x - 1 && a.n == 0) shared[blockDim.x] = 0.0;
}
KERNEL(grouped, GroupedArguments)
"#,
};

/// With and without the barrier that it needs.
const WHOLE: (&str, &str) = ("BARRIER", "__syncthreads()");

fn kernel((word, instead): (&str, &str)) -> Kernel {
    let source = GROUPED.source.replace(word, instead);
    Kernel { source: Box::leak(source.into_boxed_str()), ..GROUPED }
}

fn run(shim: Shim, kernel: &Kernel, n: usize) -> Result<(Vec<f64>, Vec<f64>), Fault> {
    let machine = Machine::Shim(shim);
    let values: Vec<f64> = (0..n).map(|i| i as f64 * 0.37 - 350.0).collect();
    let input = machine.put(&pack(&values))?;
    let (each, sums) = (machine.room(n * 8)?, machine.room(3 * 8)?);
    let grid = Grid { n_blocks: 3, n_threads: 128, shared: 128 * 8 };
    let words = [
        Word::Buffer(&input),
        Word::Buffer(&each),
        Word::Buffer(&sums),
        Word::Int(n as i64),
        Word::Real(0.5),
    ];
    machine.launch(kernel, &[], grid, &words)?;
    Ok((unpack(&machine.take(&each)?), unpack(&machine.take(&sums)?)))
}

#[test]
fn a_kernel_runs_on_the_shim_in_any_schedule_and_under_sanitizers() {
    let kernel = kernel(WHOLE);
    for schedule in 0..3 {
        let shim = Shim { schedule, is_sanitized: schedule == 0, ..Shim::default() };
        let (each, sums) = run(shim, &kernel, 2_000).unwrap();
        for (i, own) in each.iter().enumerate() {
            assert_eq!(*own, 0.5 * exp(i as f64 * 0.37 - 350.0));
        }
        assert_eq!(sums.iter().sum::<f64>(), 2_000.0);
    }
}

/// Runs something of a family's kernels on the shim, and compares it with the CPU engine.
type Under = fn(Shim);

/// The families of kernels.
const FAMILIES: [(&[Kernel], Under); 9] = [
    (&[boost::KERNEL], boost::tests::under),
    (&[forest::FOREST, forest::TALLY], forest::tests::under),
    (&[linear::GRAM, linear::SPLIT, linear::RIDGE, linear::NET], linear::tests::under),
    (&[logistic::LOGISTIC], logistic::tests::under),
    (&[mlp::MLP], mlp::tests::under),
    (&[ets::ETS], ets::tests::under),
    (&[theta::THETA], theta::tests::under),
    (&[measure::MEASURE], measure::tests::under),
    (&[faulty::FAULTY], faulty::tests::under),
];

/// Threads forwards, backwards, and in an order that looks like chance.
const SCHEDULES: [u64; 3] = [0, u64::MAX, 3];

#[test]
fn every_kernel_agrees_in_every_schedule() {
    let named: Vec<&str> =
        FAMILIES.iter().flat_map(|(kernels, _)| *kernels).map(|kernel| kernel.name).collect();
    for kernel in kernels() {
        assert!(named.contains(&kernel.name), "{} is in no family", kernel.name);
    }
    for schedule in SCHEDULES {
        FAMILIES.iter().for_each(|(_, under)| under(Shim { schedule, ..Shim::default() }));
    }
}

#[test]
fn no_kernel_has_a_wrong_address_or_anything_undefined_in_any_schedule() {
    for schedule in SCHEDULES {
        let shim = Shim { schedule, is_sanitized: true, ..Shim::default() };
        FAMILIES.iter().for_each(|(_, under)| under(shim));
    }
}

#[test]
fn the_shim_shows_what_is_wrong_with_a_kernel() {
    let missing = kernel(("BARRIER", "(void)0"));
    let differs = |schedule| {
        let (_, sums) = run(Shim { schedule, ..Shim::default() }, &missing, 2_000).unwrap();
        sums.iter().sum::<f64>() != 2_000.0
    };
    assert!((0..3).any(differs), "a barrier that is missing");
    let fault = |kernel: &Kernel, n: usize, is_sanitized: bool| {
        let shim = Shim { is_sanitized, ..Shim::default() };
        run(shim, kernel, n).unwrap_err().to_string()
    };
    let parted = kernel(("BARRIER", "if (t < 64) __syncthreads(); else __syncwarp()"));
    assert!(fault(&parted, 10, false).contains("barrier"));
    let beyond = fault(&kernel(WHOLE), 0, true);
    assert!(beyond.contains("AddressSanitizer"), "{beyond}");
    let text = fault(&kernel(("BARRIER", "no words of C++")), 10, false);
    assert!(text.contains("error:"), "{text}");
}

#[test]
fn words_must_be_the_kernel_s_and_memory_may_end() {
    let machine = Machine::Shim(Shim { max_bytes: Some(100), ..Shim::default() });
    assert_eq!(machine.room(101).unwrap_err(), Fault::OutOfMemory);
    let grid = Grid { n_blocks: 1, n_threads: 32, shared: 32 * 8 };
    let refused = machine.launch(&kernel(WHOLE), &[], grid, &[Word::Int(1)]).unwrap_err();
    assert!(refused.to_string().contains("another number of words"), "{refused}");
}

#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "CUDA's compiler is there for Linux")]
fn cuda_s_compiler_takes_the_same_text() {
    assert!(
        nvrtc::is_here(),
        "libnvrtc.so.13 is not found; tests/run installs it and names its folder in \
         LD_LIBRARY_PATH"
    );
    for architecture in [80, 90] {
        let compiled = nvrtc::compile(&kernel(WHOLE), &[], Target::Cubin(architecture)).unwrap();
        assert!(compiled.code.starts_with(b"\x7fELF"));
        assert!(compiled.log.contains("registers"), "{}", compiled.log);
        assert!(!compiled.log.contains("warning"), "{}", compiled.log);
    }
    let wrong = nvrtc::compile(&kernel(("BARRIER", "no words of C++")), &[], Target::Cubin(90))
        .unwrap_err();
    assert!(wrong.to_string().contains("grouped.cu"), "{wrong}");
}

/// What a kernel is specialised by.
pub(super) type Specialised = Vec<(&'static str, i64)>;

fn boosted(shape: boost::Shape) -> String {
    let word = if shape.is_wide { "wide" } else { "narrow" };
    format!("boost {word} {}", shape.leaves)
}

/// Every kernel and what it is specialised by, each with a name.
pub(super) fn shipped() -> Vec<(String, Kernel, Specialised)> {
    let boosted = boost::shapes()
        .map(|shape| (boosted(shape), boost::KERNEL, boost::defines(shape).to_vec()));
    let others = [
        forest::shipped(),
        linear::shipped(),
        logistic::shipped(),
        mlp::shipped(),
        ets::shipped(),
        theta::shipped(),
        measure::shipped(),
        faulty::shipped(),
    ]
    .concat();
    let others = others.into_iter().map(|(kernel, defines)| {
        let values = defines.iter().map(|(_, value)| format!(" {value}"));
        (format!("{}{}", kernel.name, values.collect::<String>()), kernel, defines)
    });
    boosted.chain(others).collect()
}

/// What the compiler makes of every kernel and shape that is shipped.
fn table() -> String {
    let mut lines = String::from("kernel          sm  registers  stack  spilled  shared\n");
    for (name, kernel, defines) in shipped() {
        for architecture in [80, 90] {
            let compiled = nvrtc::compile(&kernel, &defines, Target::Cubin(architecture)).unwrap();
            assert!(!compiled.log.contains("warning"), "{}", compiled.log);
            let log = &compiled.log;
            let [stack, stores, loads, registers] =
                ["bytes stack frame", "bytes spill stores", "bytes spill loads", "registers"]
                    .map(|what| before(log, what));
            let has_shared = log.contains("bytes smem");
            let shared = if has_shared { before(log, "bytes smem") } else { 0 };
            let spilled = stores.max(loads);
            lines += &format!(
                "{name:<15} {architecture}  {registers:>9}  {stack:>5}  {spilled:>7}  {shared:>6}\n"
            );
        }
    }
    lines
}

/// The number before some words of the compiler's log, the first of several.
fn before(log: &str, what: &str) -> usize {
    let head = log.split(what).next().filter(|head| head.len() < log.len());
    let number = head.and_then(|head| head.split_whitespace().last());
    number.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("no {what} in {log}"))
}

/// A table that differs is either a kernel that grew worse, or progress to be written down: the test
/// prints the table as it is.
#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "CUDA's compiler is there for Linux")]
fn kernels_need_the_registers_that_are_written_down() {
    let written = include_str!("registers.txt");
    let own = table();
    assert!(own == written, "trial-runner/src/cuda/registers.txt differs from:\n{own}");
}

#[test]
fn what_kernels_share_by_themselves_is_left_to_them() {
    let shared = |line: &str| line.split_whitespace().last()?.parse::<usize>().ok();
    let left = |name: &str| {
        let of_it = boost::shapes().find(|shape| name == boosted(*shape));
        of_it.map_or(super::card::MOST_STATIC, |shape| shape.own_shared())
    };
    for line in include_str!("registers.txt").lines().skip(1) {
        let shared = shared(line).unwrap();
        assert!(shared <= left(line[..16].trim_end()), "{line}");
    }
}
