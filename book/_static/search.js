// Who asks for a title by its name finds it first.
Scorer.score = ([, , , , score, , kind]) => (kind === "title" ? score + 100 : score);
