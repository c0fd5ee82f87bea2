// @ts-check

const SECTIONS = ['Added', 'Changed', 'Deprecated', 'Removed', 'Fixed', 'Security'];

/**
 * @typedef {object} News the changes since the last release
 * @property {string[]} added fields of Query, Mutation and Subscription
 * @property {string[]} addedPaths REST paths
 * @property {string[]} deprecated places such as `ApiKey.hint`
 * @property {string[]} removed deprecated places that no longer exist
 */

/**
 * Returns one sentence for each fault of a changelog in the form of keepachangelog.com, and for each change that its section "Unreleased"
 * does not name as code.
 * @param {string} changelog
 * @param {News} news
 * @returns {string[]}
 */
function changelogProblems(changelog, { added, addedPaths, deprecated, removed }) {
  const releases = partsOf(changelog, '## ');
  const [unreleased, ...earlier] = releases;
  if (unreleased?.title !== '[Unreleased]') return ['CHANGELOG.md has no "## [Unreleased]" as its first release.'];
  const titles = earlier.map(({ title }) => /^\[(\d+\.\d+\.\d+)\] - (\d{4}-\d{2}-\d{2})$/.exec(title));
  const days = titles.flatMap((match) => match?.[2] ?? []);
  /** @type {(names: string[], section: string) => string[]} */
  const untold = (names, section) => {
    const text = partsOf(unreleased.text, '### ').find(({ title }) => title === section)?.text ?? '';
    return names
      .filter((name) => !text.includes(`\`${name}\``))
      .map((name) => `CHANGELOG.md does not name \`${name}\` under "### ${section}" of [Unreleased].`);
  };
  return [
    ...earlier
      .filter((_release, index) => !titles[index])
      .map(({ title }) => `"## ${title}" of CHANGELOG.md does not look like "## [1.2.3] - 2026-11-24".`),
    ...(days.join() === [...days].sort().reverse().join() ? [] : ['The releases of CHANGELOG.md do not go from the newest to the oldest.']),
    ...releases.flatMap(({ title, text }) =>
      partsOf(text, '### ').flatMap((section) => {
        if (!SECTIONS.includes(section.title))
          return [`"### ${section.title}" of ${title} in CHANGELOG.md is none of ${SECTIONS.join(', ')}.`];
        return section.text.trim() === '' ? [`"### ${section.title}" of ${title} in CHANGELOG.md is empty.`] : [];
      }),
    ),
    ...untold([...added, ...addedPaths], 'Added'),
    ...untold(deprecated, 'Deprecated'),
    ...untold(removed, 'Removed'),
  ];
}

/**
 * Returns the changelog with its unreleased section turned into a version.
 * Throws if that section is missing or empty, or if the version already exists.
 * @param {string} changelog
 * @param {string} version
 * @param {string} day YYYY-MM-DD
 */
function releasedChangelog(changelog, version, day) {
  const [unreleased, ...earlier] = partsOf(changelog, '## ');
  if (unreleased?.title !== '[Unreleased]' || unreleased.text.trim() === '')
    throw new Error('CHANGELOG.md has nothing under "## [Unreleased]".');
  if (earlier.some(({ title }) => title.startsWith(`[${version}]`)))
    throw new Error(`CHANGELOG.md already has ${version}: give package.json another version.`);
  return changelog.replace('## [Unreleased]\n', `## [Unreleased]\n\n## [${version}] - ${day}\n`);
}

/**
 * Splits a text at its headings of one level. Returns each heading with the text below it.
 * @param {string} text
 * @param {string} mark
 */
function partsOf(text, mark) {
  return `\n${text}`
    .split(`\n${mark}`)
    .slice(1)
    .map((part) => ({ title: part.split('\n', 1)[0]?.trim() ?? '', text: part.slice(part.indexOf('\n') + 1) }));
}

module.exports = { changelogProblems, releasedChangelog };
