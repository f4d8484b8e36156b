/// The commands. The only package that prints to standard output and sets exit codes; everything it does is done by the layers below.
@NullMarked
package rqat.cli;

import org.jspecify.annotations.NullMarked;
