/// One class per stage, read from top to bottom: [rqat.recipe.Pretrain], [rqat.recipe.Quantize], [rqat.recipe.FineTune],
/// [rqat.recipe.Distill], [rqat.recipe.Reinforce], [rqat.recipe.Evaluate], and [rqat.recipe.Run] that chains them. A stage maps a model
/// directory to a model directory and can be run, resumed and tested alone. Each class holds its own settings as a record. No algorithm
/// lives here.
@NullMarked
package rqat.recipe;

import org.jspecify.annotations.NullMarked;
