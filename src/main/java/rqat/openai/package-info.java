/// OpenAI's HTTP interface to a model, from both ends: what its requests and answers look like on the wire, a server over a
/// [rqat.generate.Scheduler], and the client that asks any such server.
///
/// Knows texts, tokens and requests; no tensors, no model files, nothing of quantisation. What arrives here is foreign: it is read field by
/// field, bounded, and refused with a message in the interface's own form.
@NullMarked
package rqat.openai;

import org.jspecify.annotations.NullMarked;
