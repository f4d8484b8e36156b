/// The way out: a model as files that other engines serve, proved equal to what was trained before they appear.
///
/// [Exporter] is the flow; one class a container ([SafetensorsContainer] and [GgufContainer]) says how codes lie in it; [Proof] reads everything back with
/// `rqat.foreign`, which shares no code with the writers. No libtorch here, no tensor whole in memory but one, and no fallback: what a
/// container cannot hold is refused by the tensor's name.
@NullMarked
package rqat.export;

import org.jspecify.annotations.NullMarked;
