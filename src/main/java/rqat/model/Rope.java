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

    /// The `headDimension / 2` inverse frequencies after scaling, computed in float64 and rounded once.
    public float[] inverseFrequencies(int headDimension) {
        float[] result = new float[headDimension / 2];
        for (int i = 0; i < result.length; i++) {
            // The reference computes theta^(2i/D) in float32 and then divides; follow it to agree to the last bits.
            float frequency = 1.0f / (float) Math.pow(theta, (float) (2 * i) / headDimension);
            result[i] = switch (scaling) {
                case None _ -> frequency;
                case Uniform uniform -> (float) (frequency / uniform.factor());
                case Llama3 llama -> llama3(frequency, llama);
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
