// @ts-check
const { sep } = require('node:path');
const { default: Runtime } = require('jest-runtime');

/** Loads src and all packages; it lives as long as its worker. */
let library = /** @type {Runtime | undefined} */ (undefined);

/**
 * Jest's runtime, which loads the files of test/ anew for each test file, and all others once for each worker: loading the application
 * takes longer than most files test it. A test changes no module but by `jest.spyOn`, which ends with its file.
 */
module.exports = class extends Runtime {
  /** @param {ConstructorParameters<typeof Runtime>} args */
  constructor(...args) {
    super(...args);
    library ??= new Runtime(...args);
    this.tests = `${args[0].rootDir}${sep}test${sep}`;
  }

  /** @override */
  requireModule(from, name, options, isActual = false) {
    const path = name === undefined ? from : this._resolution.resolveCjs(from, name);
    if (options?.isInternalModule || path.startsWith(this.tests)) return super.requireModule(from, name, options, isActual);
    return library.requireModule(from, name, options, isActual);
  }

  /** @override */
  getSourceMaps() {
    return new Map([...library.getSourceMaps(), ...super.getSourceMaps()]);
  }
};
