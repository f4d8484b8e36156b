package rqat.model;

/// Rotary frequencies.
///
/// @param theta   the base
/// @param scaling how published long-context checkpoints stretch the frequencies
public record Rope(double theta, Scaling scaling) {
    /// How frequencies are stretched beyond the pretraining context.
    public sealed interface Scaling {}

    /// Not at all.
    public record None() implements Scaling {}

    /// All frequencies divided by `factor`.
    public record Uniform(double factor) implements Scaling {}

    /// Llama 3: long wavelengths divided by `factor`, short ones kept, a linear blend between.
    public record Llama3(double factor, double lowFrequencyFactor, double highFrequencyFactor, double originalPositions)
            implements Scaling {}

    /// YaRN (Peng et al. 2023, section 3.2): frequencies that turn more than `fastTurns` times within the original context are kept, those that turn less than
    /// `slowTurns` times are divided by `factor`, and the index of the frequency is blended linearly between; cosines and sines are multiplied by `attentionFactor`,
    /// so that the logits of attention are by its square (section 3.4).
    ///
    /// @param truncate whether the two bounds of the blend are rounded outwards to whole indices
    public record Yarn(double factor, double attentionFactor, double fastTurns, double slowTurns, boolean truncate, double originalPositions)
            implements Scaling {

        /// The factor where the configuration gives none: `0.1 ln(factor) + 1`, or the quotient of two such with the logarithm multiplied by `scale` and by `scaleAll`
        /// where both are given (not 0), as DeepSeek-V3 has it.
        static double attentionFactor(double factor, double scale, double scaleAll) {
            return scale > 0 && scaleAll > 0 ? stretched(factor, scale) / stretched(factor, scaleAll) : stretched(factor, 1);
        }

        private static double stretched(double factor, double scale) {
            return factor <= 1 ? 1 : 0.1 * scale * Math.log(factor) + 1;
        }

        /// The index among `width / 2` frequencies, not whole, of the one that turns `turns` times within the original context.
        private double index(double turns, double theta, int width) {
            return width * Math.log(originalPositions / (turns * 2 * Math.PI)) / (2 * Math.log(theta));
        }

        /// How far each frequency is divided, from 0 (kept) to 1.
        private float[] ramp(double theta, int width) {
            double first = index(fastTurns, theta, width), last = index(slowTurns, theta, width);
            if (truncate) {
                first = Math.floor(first);
                last = Math.ceil(last);
            }
            first = Math.max(first, 0);
            last = Math.min(last, width - 1);
            if (first == last) last += 0.001; // as the reference does
            float[] ramp = new float[width / 2];
            for (int i = 0; i < ramp.length; i++) ramp[i] = Math.clamp((i - (float) first) / (float) (last - first), 0, 1);
            return ramp;
        }
    }

    /// What cosines and sines are multiplied by.
    public double attentionFactor() {
        return scaling instanceof Yarn yarn ? yarn.attentionFactor() : 1;
    }

    /// The `headDimension / 2` inverse frequencies after scaling, in the order of operations and the float32 of the reference, to agree to the last bits.
    public float[] inverseFrequencies(int headDimension) {
        float[] result = new float[headDimension / 2];
        float[] ramp = scaling instanceof Yarn yarn ? yarn.ramp(theta, headDimension) : result;
        for (int i = 0; i < result.length; i++) {
            float power = (float) Math.pow(theta, (float) (2 * i) / headDimension);
            float frequency = 1.0f / power;
            result[i] = switch (scaling) {
                case None _ -> frequency;
                case Uniform uniform -> (float) (frequency / uniform.factor());
                case Llama3 llama -> llama3(frequency, llama);
                case Yarn yarn -> 1.0f / ((float) yarn.factor() * power) * ramp[i] + frequency * (1 - ramp[i]);
            };
        }
        return result;
    }

    private static float llama3(float frequency, Llama3 llama) {
        double wavelength = 2 * Math.PI / frequency;
        double longest = llama.originalPositions() / llama.lowFrequencyFactor();
        double shortest = llama.originalPositions() / llama.highFrequencyFactor();
        if (wavelength < shortest) return frequency;
        if (wavelength > longest) return (float) (frequency / llama.factor());
        double smooth = (llama.originalPositions() / wavelength - llama.lowFrequencyFactor())
                / (llama.highFrequencyFactor() - llama.lowFrequencyFactor());
        return (float) ((1 - smooth) * frequency / llama.factor() + smooth * frequency);
    }
}
