/// Everything special about libtorch: memory scopes, gradient switches, host copies, hooks, threads. Other packages use
/// [org.bytedeco.pytorch.Tensor] and its operations directly, and come here for what is dangerous from Java.
///
/// # Memory rules
///
/// A `Tensor` is a small Java object that owns a native handle; the Java heap does not see the storage behind it, so nothing frees it in
/// time unless we do. Three rules keep memory flat:
///
/// 1. Work that makes temporaries runs inside [rqat.tensor.Scope#run] or [rqat.tensor.Scope#keep]; when the block ends every tensor made
///    in it is freed, except the result that is kept.
/// 2. A tensor that must outlive all scopes (a weight, an optimiser moment, a KV cache) is made with [rqat.tensor.Scope#own] and is closed
///    by the object that holds it.
/// 3. Scopes, gradient mode and libtorch's thread count belong to the thread. A new thread starts with gradients on and no scope.
///
/// The autograd graph holds its own references: closing a scope before `backward` is fine.
@NullMarked
package rqat.tensor;

import org.jspecify.annotations.NullMarked;
