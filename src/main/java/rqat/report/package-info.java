/// Run directories in, tables and charts and one self-contained HTML page out.
///
/// Everything here is a pure function of the files of a run: no clock, no host name, no network; the same directory gives the same page,
/// byte for byte. A run that is unfinished or damaged still gets a report, with a note of what is missing. What models wrote is adversarial
/// and reaches the page through [rqat.report.Html#escape] only. Training, evaluation and their numbers belong elsewhere.
@NullMarked
package rqat.report;

import org.jspecify.annotations.NullMarked;
