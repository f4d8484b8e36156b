/// The way in: models that other tools quantised, as [rqat.format] sees them. One class a container, each written from the container's description and sharing no code
/// with the writers in `rqat.export`, which use these readers to prove what they wrote.
///
/// Files are downloads and are read as hostile: names, types, shapes and numbers are checked before they are used, every complaint is one [rqat.Failure]. No
/// libtorch here; tensors are mapped, and one weight at a time is taken out of its container.
@NullMarked
package rqat.foreign;

import org.jspecify.annotations.NullMarked;
