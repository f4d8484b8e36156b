/// Is this program right: generated code is run against the tests of its problem in a sandbox, with the rules of LiveCodeBench.
///
/// Here live the sandbox (what contains a hostile process), the supervisor script that runs inside it, and the comparison of outputs.
/// Generated code is hostile input: it never runs outside a [rqat.verify.program.Sandbox], and expected outputs never go into one, so
/// a program can neither read nor forge its verdict. Unlike its parent package this one starts processes, reads JSON and watches the
/// clock. No torch.
@NullMarked
package rqat.verify.program;

import org.jspecify.annotations.NullMarked;
