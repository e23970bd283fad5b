// A match in a title comes before all other results.
Scorer.score = ([, , , , score, , kind]) => (kind === "title" ? score + 100 : score);
