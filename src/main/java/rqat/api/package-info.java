/// rqat as a library: what the commands do, for programs. A [Model] is a directory; its methods make further models, measure it, export it and serve it. [Settings] are the keys of recipes.
/// Nothing here computes anything, prints anything or ends the process; what goes wrong is a [rqat.Failure] with one message and the kind that a command's exit code would tell.
/// These types change with the version only; those of all other packages may change at any time.
@NullMarked
package rqat.api;

import org.jspecify.annotations.NullMarked;
