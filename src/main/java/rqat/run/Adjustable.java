package rqat.run;

import java.lang.annotation.ElementType;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;

/// A key that changes what a stage costs (memory, time, how often it saves) and not what comes out, so that it is no part of the stage's
/// identity and may be another when the stage is resumed. Put on a component of a record of settings.
@Retention(RetentionPolicy.RUNTIME)
@Target(ElementType.RECORD_COMPONENT)
public @interface Adjustable {}
