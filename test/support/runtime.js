// @ts-check
const { sep } = require('node:path');
const { default: Runtime } = require('jest-runtime');

/** Loads src and all packages; it lives as long as its worker. @type {Runtime | undefined} */
let library;

/**
 * Jest's runtime, which loads the files of test/ for each test file, and all others once for each worker: loading the application
 * takes longer than the tests of most files. Tests change a module only with `jest.spyOn`, and the change ends with the file.
 */
class SharingRuntime extends Runtime {
  /** @param {ConstructorParameters<typeof Runtime>} args */
  constructor(...args) {
    super(...args);
    library ??= new Runtime(...args);
    this.library = library;
    this.tests = `${args[0].rootDir}${sep}test${sep}`;
  }

  /**
   * @override
   * @template [T=unknown]
   * @param {Parameters<Runtime['requireModule']>} args
   * @returns {T}
   */
  requireModule(...args) {
    const [from, name, options] = args;
    const path = name === undefined ? from : this['_resolution'].resolveCjs(from, name);
    const isShared = !options?.isInternalModule && !path.startsWith(this.tests);
    return isShared ? this.library.requireModule(...args) : super.requireModule(...args);
  }

  /** @override */
  getSourceMaps() {
    return new Map([...this.library.getSourceMaps(), ...super.getSourceMaps()]);
  }
}

module.exports = SharingRuntime;
