package rqat.run;

import java.nio.charset.StandardCharsets;

/// Seeds for independent purposes out of one: `Seeds.mix(seed, Seeds.ofString("rollout"), step, prompt)`. There is no state, so a
/// resumed run derives what an uninterrupted one would have.
///
/// The building block is the output function of SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, OOPSLA
/// 2014, with the constants of Stafford's variant 13): a bijection of 64 bits in which every input bit changes every output bit with
/// probability close to one half.
public final class Seeds {

    /// The odd number nearest to 2^64 divided by the golden ratio.
    static final long GAMMA = 0x9e3779b97f4a7c15L;

    private Seeds() {}

    /// Folds parts into a seed, left to right: `h = f((h + GAMMA) xor f(part + GAMMA))`, beginning with `h = f(seed + GAMMA)`.
    /// The order of the parts and their number matter.
    public static long mix(long seed, long... parts) {
        long hash = finish(seed + GAMMA);
        for (long part : parts) {
            hash = finish((hash + GAMMA) ^ finish(part + GAMMA));
        }
        return hash;
    }

    /// A seed from a name: 64-bit FNV-1a over UTF-8, finished as above.
    public static long ofString(String name) {
        long hash = 0xcbf29ce484222325L;
        for (byte b : name.getBytes(StandardCharsets.UTF_8)) {
            hash = (hash ^ (b & 0xff)) * 0x100000001b3L;
        }
        return finish(hash);
    }

    static long finish(long z) {
        z = (z ^ (z >>> 30)) * 0xbf58476d1ce4e5b9L;
        z = (z ^ (z >>> 27)) * 0x94d049bb133111ebL;
        return z ^ (z >>> 31);
    }
}
